"""The HTTP contract: requests, responses and problem bodies."""
