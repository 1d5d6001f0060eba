"""Holding source, catalog, lake and indexes against each other."""
