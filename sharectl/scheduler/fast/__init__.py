"""The fast path: decisions from what is known of a class of requests, equal to those of the plain evaluation."""
