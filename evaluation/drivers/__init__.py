"""Ways of putting a query to Quarry."""
