"""Lexical indexes: projections of the log for word search."""
