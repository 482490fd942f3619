"""The fast path: decides by what is known about a class of requests, with the same results as the plain evaluation."""
