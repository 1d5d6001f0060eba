"""What the DAGs, the Ray applications and the evaluation share."""
