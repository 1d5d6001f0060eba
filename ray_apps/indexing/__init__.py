"""Accepting documents and embedding the fresh tail of the log."""
