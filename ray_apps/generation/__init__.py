"""The generation tiers."""
