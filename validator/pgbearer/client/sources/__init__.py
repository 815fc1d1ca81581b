"""Where a token comes from: a token in hand, a person who logs in, a file, a program, a workload's identity."""

from pgbearer.client.sources.command import CommandSource
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.file import FileSource
from pgbearer.client.sources.kubernetes import KubernetesSource
from pgbearer.client.sources.person import NotLoggedInError, PersonSource
from pgbearer.client.sources.source import TokenSource
from pgbearer.client.sources.spiffe import SpiffeSource
from pgbearer.client.sources.static import StaticSource

__all__ = [
    "CommandSource",
    "FileSource",
    "KubernetesSource",
    "NoTokenError",
    "NotLoggedInError",
    "PersonSource",
    "SpiffeSource",
    "StaticSource",
    "TokenSource",
]
