"""The long-running service: login listener, admin, health and metrics."""

from pgbearer.service.lifespan import Service, serve
from pgbearer.service.logs import LogFormat, set_up_logging
from pgbearer.service.metrics import TABLE, Measure

__all__ = ["TABLE", "LogFormat", "Measure", "Service", "serve", "set_up_logging"]
