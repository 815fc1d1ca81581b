"""demo/pgbearer.yaml, which people are meant to read, with the addresses of one run filled in."""

import string
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Addresses", "policy_file"]

_TEMPLATE = Path(__file__).with_name("pgbearer.yaml")


@dataclass(frozen=True, slots=True)
class Addresses:
    """What differs between one run and another."""

    issuer: str
    ca_file: Path
    run: Path
    """Folder of the sockets."""
    log: Path
    """Folder of the audit."""
    state: Path
    """Folder of what the service keeps."""
    postgres_uid: int
    http: str
    """Host and port of health and metrics."""


def policy_file(addresses: Addresses) -> str:
    """The text of pgbearer.yaml for `addresses`."""
    values = {name: str(getattr(addresses, name)) for name in Addresses.__slots__}
    return string.Template(_TEMPLATE.read_text()).substitute(values)
