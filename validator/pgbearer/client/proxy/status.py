"""What a proxy says of itself: numbers, names and the last thing that went wrong. No token is in it."""

from dataclasses import dataclass

__all__ = ["ProxyStatus", "UpstreamStatus"]


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """One upstream, at the moment of asking."""

    name: str
    issuer: str
    hosts: tuple[str, ...]
    listening: tuple[str, ...]
    """Where clients connect: FOLDER:PORT or ADDRESS:PORT."""
    connections: int
    """Clients that are logged in."""
    connecting: int
    """Clients that wait for a token or for the server."""
    logins: int
    """Since the start."""
    refused: int
    """Clients that could not be logged in, since the start."""
    last_error: str | None
    last_error_at: float | None
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """The whole proxy, at the moment of asking."""

    started_at: float
    """Seconds since the epoch."""
    draining: bool
    unfinished: int
    """Clients that have not yet said what they want."""
    dropped: int
    """Of those, how many were dropped for being too many or too slow, since the start."""
    upstreams: tuple[UpstreamStatus, ...]
