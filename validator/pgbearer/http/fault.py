"""Why a fetch failed: one error, with a kind that callers can act on."""

import ssl
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from pgbearer.errors import UnreachableError
from pgbearer.http.bare import httpx

__all__ = ["Fault", "FetchError", "fault_of"]


class Fault(StrEnum):
    """What kind of fault it was."""

    URL = "url"
    """Not an https URL that we would ever ask."""
    CONNECT = "connect"
    """No connection: refused, unroutable, or the name does not resolve."""
    TLS = "tls"
    """The certificate or the handshake was refused."""
    TIMEOUT = "timeout"
    """The whole exchange took longer than the limit."""
    REDIRECT = "redirect"
    """It answered 3xx; following would let it choose whom we trust."""
    TOO_LARGE = "too_large"
    ENCODING = "encoding"
    """The body is compressed although only identity was accepted."""
    PROTOCOL = "protocol"
    """Cut, or not HTTP."""


_TLS_HINT: Final = (
    "If its certificate comes from an authority of your own, name that authority's as ca_file (--ca-file)."
)


class FetchError(UnreachableError):
    """No usable reply came. `kind` says why; the message names the URL without its query."""

    def __init__(self, kind: Fault, what: str, *, url: str) -> None:
        self.kind = kind
        super().__init__(what, where=url.partition("?")[0], hint=_TLS_HINT if kind is Fault.TLS else None)


def fault_of(error: httpx.HTTPError | ssl.SSLError, *, url: str) -> FetchError:
    """The `FetchError` for what httpx raised; TLS is told from other connection faults by its cause.

    In TLS 1.3 a server refuses our certificate after the handshake, and that reaches us bare, from a read.
    """
    if isinstance(error, ssl.SSLError):
        return FetchError(Fault.PROTOCOL, f"TLS broke off: {error.reason or type(error).__name__}", url=url)
    timeout = isinstance(error, httpx.TimeoutException)  # in a handshake, its cause is that TLS wanted to read more
    if not timeout and any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return FetchError(Fault.TLS, f"TLS failed: {error}", url=url)
    match error:
        case httpx.TimeoutException():
            return FetchError(Fault.TIMEOUT, "no answer in time", url=url)
        case httpx.ConnectError():
            return FetchError(Fault.CONNECT, f"cannot connect: {error}", url=url)
        case _:
            return FetchError(Fault.PROTOCOL, f"the exchange broke off: {str(error) or type(error).__name__}", url=url)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that led to it; httpx and httpcore each wrap once."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
