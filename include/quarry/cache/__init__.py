"""Answers that were computed before, served again for as long as what they were read from is the same."""
