"""Vector stores: projections of the log for nearest-neighbour search."""
