"""Which index version answers, and how a version comes to answer: following, completeness, promotion."""
