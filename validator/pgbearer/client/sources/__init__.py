"""Where a token comes from: a token in hand, a person who logs in."""

from pgbearer.client.sources.person import NotLoggedInError, PersonSource
from pgbearer.client.sources.source import TokenSource
from pgbearer.client.sources.static import StaticSource

__all__ = ["NotLoggedInError", "PersonSource", "StaticSource", "TokenSource"]
