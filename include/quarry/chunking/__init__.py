"""Blocks of text become passages with offsets."""
