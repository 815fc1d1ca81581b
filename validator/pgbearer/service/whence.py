"""From where a connection comes, as limits count it."""

import ipaddress

__all__ = ["whence"]


def whence(host: str) -> str:
    """What one sender has of addresses: an IPv4 address, or the /64 that every IPv6 host may choose from.

    Args:
        host: as the socket says it, a scope included; what is no address stays as it is.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))
