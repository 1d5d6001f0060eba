"""What was set aside: to look at, to try again, to drop."""
