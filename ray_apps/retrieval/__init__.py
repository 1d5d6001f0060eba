"""Retrieval over HTTP and over handles."""
