"""What a container of our service is like, as cnpg/base and cnpg/components/sidecar have it.

Ours is excused from what others may not, so it is known by all that it has. By its image alone it is not: that runs
whatever it is told to.
"""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.patch import small
from pgbearer.cnpg.stream import listing, text

__all__ = ["mounts", "unlike_ours"]

_MEMBERS: Final = frozenset(
    {
        *("name", "image", "imagepullpolicy", "command", "args", "env", "ports", "resources", "restartpolicy"),
        *("livenessprobe", "readinessprobe", "startupprobe", "securitycontext", "volumemounts"),
    }
)
_PROBES: Final = ("livenessprobe", "readinessprobe", "startupprobe")
_VARIABLES: Final = frozenset({"TZ"})
"""It reads its settings from a file alone; by others one changes what Python or OpenSSL load."""
_SETTINGS: Final = "/etc/pgbearer/"
_PLACES: Final = (_SETTINGS, "/run/pgbearer/", "/run/spire/", "/var/lib/pgbearer/", "/var/run/secrets/")
"""Below which it mounts; elsewhere are its own program and what that loads."""
_SOCKETS: Final = ("scratch-data", "/shared", "pgbearer")
"""Volume, place and folder of the volume: what it shares with PostgreSQL, in whose container the volume is /run."""


def mounts(container: Mapping[str, Any]) -> set[str]:
    """Names of volumes that a container mounts, or has as devices; its keys are in small letters."""
    listed = [*listing(container.get("volumemounts")), *listing(container.get("volumedevices"))]
    return {text(small(each).get("name")) for each in listed}


def unlike_ours(container: Mapping[str, Any], volumes: Collection[str]) -> str | None:
    """What a container has that ours has not, to be shown; None if it may be ours.

    Args:
        container: with keys in small letters (`small`).
        volumes: names of those that are not PostgreSQL's, which it may mount.
    """
    return next(_differences(container, volumes), None)


def _differences(container: Mapping[str, Any], volumes: Collection[str]) -> Iterator[str]:
    for member in sorted(container.keys() - _MEMBERS):
        yield f"it has {member[:63]}"
    words = [text(word) for key in ("command", "args") for word in listing(container.get(key))]
    if not _serves(words):
        yield f"it runs {' '.join(words)[:100]!r}"
    for variable in map(small, listing(container.get("env"))):
        if text(variable.get("name")) not in _VARIABLES:
            yield f"it has the variable {text(variable.get('name'))[:63]}"
    for probe in _PROBES:
        if "exec" in small(container.get(probe)):
            yield f"its {probe} runs a program"
    for mount in map(small, listing(container.get("volumemounts"))):
        volume, place = text(mount.get("name")), text(mount.get("mountpath"))
        if not _is_own(mount, volumes):
            yield f"it mounts {volume[:63]} at {place[:100]}"


def _serves(words: list[str]) -> bool:
    """Whether a command, with its arguments, is what the image begins with, or that with a file of settings."""
    match words[1:] if words[:1] == ["pgbearer"] else words:
        case [] | ["serve"]:
            return True
        case ["serve", "-c" | "--config", str(file)]:
            return posixpath.normpath(file) == file and file.startswith(_SETTINGS)
    return False


def _is_own(mount: Mapping[str, Any], volumes: Collection[str]) -> bool:
    volume, place = text(mount.get("name")), text(mount.get("mountpath"))
    if (volume, place, mount.get("subpath")) == _SOCKETS:
        return "subpathexpr" not in mount
    return volume in volumes and f"{posixpath.normpath(place)}/".startswith(_PLACES)
