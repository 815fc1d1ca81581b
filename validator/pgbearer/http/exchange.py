"""One exchange within bounds: which URLs are asked, with which TLS, and how much of an answer is read."""

import ssl
import stat
from pathlib import Path

from pgbearer.errors import UsageError
from pgbearer.http.bare import httpx
from pgbearer.http.fault import Fault, FetchError
from pgbearer.http.reply import Reply

__all__ = ["HEADERS", "Unshown", "checked_url", "read_reply", "tls_context"]

HEADERS = {
    "accept": "application/json, application/jwk-set+json",  # who asks Kubernetes for JSON alone does not get its keys
    "accept-encoding": "identity",
    "user-agent": "pgbearer",
}


class Unshown(dict[str, str]):
    """What goes into a request and may be a secret; its repr, in a traceback that shows locals, has the names only."""

    def __repr__(self) -> str:
        return f"<values of {sorted(self)}>"


def checked_url(url: str) -> httpx.URL:
    """The URL, if it is one that we ask: https, a host, no user, no fragment.

    Raises:
        FetchError: of kind ``url``.
    """
    try:
        parsed = httpx.URL(url)
        host = parsed.host  # decoded on access
    except (httpx.InvalidURL, UnicodeError) as error:
        raise FetchError(Fault.URL, "not a URL", url="") from error
    if parsed.scheme != "https":
        raise FetchError(Fault.URL, "only https is asked", url=url)
    if not host or len(host) > 253 or max(map(len, host.split("."))) > 63:
        raise FetchError(Fault.URL, "a URL needs a host that DNS can hold", url="")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise FetchError(Fault.URL, "no such port", url="")
    if parsed.userinfo or parsed.fragment:
        raise FetchError(Fault.URL, "a URL with a user or a fragment", url="")
    return parsed


def tls_context(ca_file: Path | None, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """TLS 1.2 or later that trusts `ca_file` alone, or the system's store if it is None.

    Args:
        ca_file: PEM certificates.
        certificate: files with our own certificate and its key (PEM), for servers that ask for one.

    Raises:
        UsageError: a file cannot be read, or holds no certificate, or a key that is locked or another's; or the system
            has no store.
    """
    context = _of_system() if ca_file is None else _of_file(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        _present(context, *certificate)
    return context


async def read_reply(response: httpx.Response, *, url: str, max_bytes: int) -> Reply:
    """Read a streamed response to its end, raw: what would have to be unpacked is refused, not unpacked.

    Raises:
        FetchError: of kind ``redirect``, ``encoding`` or ``too_large``.
    """
    if 300 <= response.status_code < 400:
        raise FetchError(Fault.REDIRECT, f"answered {response.status_code}, and redirects are not followed", url=url)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError(Fault.ENCODING, "answered with a compressed body", url=url)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise FetchError(Fault.TOO_LARGE, f"answered more than {max_bytes} bytes", url=url)
    return Reply(response.status_code, dict(response.headers), bytes(body))


def _of_file(ca_file: Path) -> ssl.SSLContext:
    try:
        if not stat.S_ISREG(ca_file.stat().st_mode):  # a pipe would keep us waiting for whoever writes to it
            raise UsageError("is not a regular file", where=str(ca_file), hint="Give a file of PEM certificates.")
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            "cannot read certificates", where=str(ca_file), hint="Give a file of PEM certificates."
        ) from error


def _of_system() -> ssl.SSLContext:
    """Where OpenSSL was built to look, and not where SSL_CERT_FILE and SSL_CERT_DIR say: that is the environment's."""
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if not file.is_file() and not folder.is_dir():
        hint = "Install ca-certificates, or give a file of PEM certificates."
        raise UsageError("this system has no authorities to trust", where=str(file), hint=hint)
    return ssl.create_default_context(
        cafile=file if file.is_file() else None, capath=folder if folder.is_dir() else None
    )


def _present(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password="")  # without one OpenSSL asks at the terminal
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            "cannot use certificate and key", where=str(certificate), hint="Give PEM files that belong together."
        ) from error
