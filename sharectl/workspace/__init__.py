"""What commands do, without words: survey, run, inspect, explain, import, trash, validate, init."""
