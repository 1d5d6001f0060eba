"""Texts become vectors of a named space."""
