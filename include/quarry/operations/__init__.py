"""Running the platform on one machine: processes, ports, health."""
