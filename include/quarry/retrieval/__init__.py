"""One query, two indexes, one fused list of hits."""
