"""Which addresses an issuer may send us, or a person, to."""

from urllib.parse import urlsplit

from pgbearer.client.plain import plain

__all__ = ["https_parts"]


def https_parts(url: str) -> tuple[str, str] | None:
    """Split into origin and path with all after it; None unless https, with a host, without user, and all printable."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return None
    if not usable or any(character.isspace() for character in url) or plain(url, limit=len(url)) != url:
        return None
    origin = f"https://{parts.netloc}"
    return (origin, url[len(origin) :]) if url.startswith(origin) else None
