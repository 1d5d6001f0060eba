"""Passages become an answer whose every sentence is checked against them."""
