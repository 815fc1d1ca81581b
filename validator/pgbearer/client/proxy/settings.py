"""The bounds of a proxy."""

from dataclasses import dataclass

__all__ = ["ProxySettings"]


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """How much, how many and how long; every number is a bound, and times are in seconds."""

    startup_seconds: float = 10.0
    """From a client's connect until its startup packet, and over TCP its password's proof, are there."""
    most_unfinished: int = 256
    """Clients that have not come that far; one more, and the oldest of them is dropped."""
    most_connections: int = 5_000
    """Clients that have. Where several local users are served, half of them at most are of one."""
    source_seconds: float = 300.0
    """For the source to give a token: a person may have to act."""
    dial_seconds: float = 60.0
    """For the login at the server, all its hosts together; ``connect_timeout`` bounds each."""
    idle_seconds: float | None = None
    """After so long without a query, and without a byte either way, a connection is ended; None never."""
    lifetime_seconds: float | None = None
    """After so long a connection is ended when its query is; None never."""
    linger_seconds: float = 600.0
    """For a client to read the last of what its server sent."""
    drain_seconds: float = 30.0
    """For connections to end by themselves when the proxy does."""
    buffer_bytes: int = 256 * 1024
    """What is kept of each direction of a connection while its reader is slow."""
