"""What came back: status, headers and a body of bounded size."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply, read to its end. It is never a redirect."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    """At most the fetcher's `max_bytes`; not in repr, because a token endpoint answers with tokens."""

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """True for ``application/json`` and ``application/*+json`` (RFC 6839 section 3.1)."""
        kind = self.content_type
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
