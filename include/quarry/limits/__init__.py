"""What a tenant may ask for, how often and how much, and what it used."""
