"""Bytes of a content type become blocks of text."""
