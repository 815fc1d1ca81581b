"""The address and mask of a line of pg_hba.conf (parse_hba_line of hba.c, pg_sockaddr_cidr_mask of ifaddr.c)."""

import ipaddress
import re
import socket

__all__ = ["AddressError", "network", "read_address", "read_mask"]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_STRTOL = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")


class AddressError(Exception):
    """The server does not take it; the message says why, as the server does."""


def read_address(text: str) -> tuple[str, str | None, bool]:
    """An address that is no keyword, and its mask if it has one of its own (``/LENGTH``).

    Returns:
        The IP address in its usual form, or the name of a host as it stands; the mask or None; and whether a mask must
        follow in a field of its own.

    Raises:
        AddressError: it is neither, or its length is none.
    """
    word, slash, length = text.partition("/")
    address = _numeric(word)
    if address is None:
        if slash:
            raise AddressError(f'specifying both host name and CIDR mask is invalid: "{text}"')
        return text, None, False
    if not slash:
        return _shown(address), None, True
    bits = int(length) if _STRTOL.fullmatch(length) and len(length) < 9 else -1
    if not 0 <= bits <= address.max_prefixlen:
        raise AddressError(f'invalid CIDR mask in address "{text}"')
    return _shown(address), _mask_of(address, bits), False


def read_mask(text: str, address: str) -> str:
    """The mask that stands in a field of its own after `address`.

    Raises:
        AddressError: it is no IP address, or of another family.
    """
    mask = _numeric(text)
    if mask is None:
        raise AddressError(f'invalid IP mask "{text}"')
    if mask.version != ipaddress.ip_address(address).version:
        raise AddressError("IP address and mask do not match")
    return _shown(mask)


def network(address: str | None, netmask: str | None) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that a line speaks of; None for a keyword, a name, or a mask with holes."""
    if address is None or netmask is None:
        return None
    try:
        bits = format(int(ipaddress.ip_address(netmask)), "b")
        width = ipaddress.ip_address(address).max_prefixlen
        if (len(bits) != width and int(bits, 2)) or "01" in bits:
            return None
        return ipaddress.ip_network((address, bits.count("1")), strict=False)
    except ValueError:
        return None


def _numeric(text: str) -> IPAddress | None:
    """As getaddrinfo() with AI_NUMERICHOST reads it, which takes 10.1 for 10.0.0.1; it asks nobody."""
    try:
        found = socket.getaddrinfo(text, None, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM) if text else []
    except (OSError, UnicodeError, ValueError):
        return None
    try:
        return ipaddress.ip_address(found[0][4][0]) if found else None
    except ValueError:
        return None


def _mask_of(address: IPAddress, bits: int) -> str:
    width = address.max_prefixlen
    return _shown(type(address)((1 << width) - (1 << (width - bits))))


def _shown(address: IPAddress) -> str:
    """As the server shows it: ``::ffff:10.0.0.1``, which Python writes otherwise."""
    return socket.inet_ntop(socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed)
