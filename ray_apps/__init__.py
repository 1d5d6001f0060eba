"""What runs on Ray: batch jobs and Serve deployments."""
