"""One upstream: a database server under a name, and whose tokens are for it."""

from typing import Annotated, Literal

import msgspec

__all__ = ["Pin", "UpstreamSettings"]

Pin = Literal["user", "dbname"]


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said under ``[upstreams.NAME]``."""

    conninfo: Annotated[str, msgspec.Meta(min_length=1, max_length=8_000)]
    """Connection string or URL; service files and PG* apply as in psql."""
    profile: str | None = None
    """Whose tokens are used there: one of ``[profiles]``; as without a name if left out."""
    pin: tuple[Pin, ...] | None = None
    """Of ``user`` and ``dbname``, those that the connection string has the say of. If left out, both for
    ``pgbearer proxy``, and neither for the one program of ``pgbearer psql`` and ``run``."""
    behind: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)] | None = None
    """Another issuer behind whose HBA lines the server takes these tokens, as in `pgbearer.connect`."""
