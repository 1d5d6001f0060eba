"""The catalog: documents, the log of changes, index versions and routes, in SQL."""
