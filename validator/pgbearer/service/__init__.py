"""The long-running service: login listener, admin, health and metrics."""
