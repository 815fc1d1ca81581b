"""The commands: each prints, asks and exits, and does nothing else."""

from pgbearer.cli.app import app, kubectl, main

__all__ = ["app", "kubectl", "main"]
