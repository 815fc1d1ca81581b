"""Checks on what is put beside PostgreSQL, or in its place: by the patch of the pods, and by what runs in them.

Who shares a volume, the processes or the environment of PostgreSQL reads what it reads and decides who gets in.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.about_objects import pod_patch_is_one
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at, decoded_patch, is_ours
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_ANNOTATION: Final[KeyPath] = ("metadata", "annotations", operator.POD_PATCH)
_LISTS: Final = frozenset({"containers", "initcontainers", "ephemeralcontainers"})
_SHARED: Final = frozenset({"scratch-data", "pgdata", "pg-wal"})
"""Volumes that the operator mounts into PostgreSQL's container: its sockets, and its data with pg_hba.conf."""
_NAMESPACES: Final = frozenset({"shareprocessnamespace", "hostpid"})
_WHAT_RUNS: Final = frozenset({"image", "command", "args", "env", "envfrom", "volumemounts", "lifecycle"})
_POSTGRES: Final = 26
"""Its uid, which the operator gives the whole pod: a container that says no other has it."""
_LOADER: Final = frozenset({"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"})  # ld.so(8)


def nobody_is_let_into_the_pod(manifest: Manifest) -> Iterator[Found]:
    """A container with PostgreSQL's volumes or processes is as good as PostgreSQL."""
    for index, parts, value in _puts(manifest):
        if _shares_processes(parts, value):
            hint = "take it out: every container may then read and change PostgreSQL's memory and files"
            yield Found("pod_shared", _ANNOTATION, f"operation {index} shares the pod's processes", hint)
        for name, container in _added(parts, value):
            mounts = {text(_small(mount).get("name")) for mount in listing(container.get("volumemounts"))}
            if shared := sorted(mounts & _SHARED):
                message = f"operation {index} mounts {', '.join(shared)}, which is PostgreSQL's, into {name}"
                yield Found("pod_shared", _ANNOTATION, message, "give it a volume of its own")


def others_have_a_user_of_their_own(manifest: Manifest) -> Iterator[Found]:
    """By the user of a process the module and the service know each other at their socket."""
    for index, parts, value in _puts(manifest):
        for name, container in _added(parts, value):
            user = _small(container.get("securitycontext")).get("runasuser", _POSTGRES)
            if user in (0, _POSTGRES):
                message = f"operation {index} runs {name} as {user}"
                hint = "write securityContext: {runAsUser: N}, neither 0 nor 26, which is the pod's"
                yield Found("pod_user", _ANNOTATION, message, hint)


def postgres_is_the_operators(manifest: Manifest) -> Iterator[Found]:
    """What its container runs, and whatever of its own the operator starts before it."""
    for index, parts, _ in _puts(manifest):
        inside = len(parts) > 3 and parts[0] == "spec" and parts[1] in _LISTS and parts[3] in _WHAT_RUNS
        whole = parts in ((), ("spec",)) or (len(parts) == 2 and parts[0] == "spec" and parts[1] in _LISTS)
        if inside or whole or _replaces_one(manifest, index, parts):
            message = f"operation {index} changes what the operator's containers run (/{'/'.join(parts)[:100]})"
            yield Found("pod_replaced", _ANNOTATION, message, "add a container of its own instead, whole, by /-")


def loader_is_left_alone(manifest: Manifest) -> Iterator[Found]:
    """ld.so loads what these name before, or in the place of, what PostgreSQL asks for."""
    if is_cluster(manifest):
        for index, variable in enumerate(listing(at(manifest, ("spec",)).get("env"))):
            name = text(mapping(variable).get("name"))
            if name in _LOADER:
                message = f"{name} loads libraries into PostgreSQL, or others in the place of its own"
                yield Found("library_elsewhere", ("spec", "env", index), message, "take it out")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    nobody_is_let_into_the_pod,
    others_have_a_user_of_their_own,
    postgres_is_the_operators,
    loader_is_left_alone,
)


def _puts(manifest: Manifest) -> Iterator[tuple[int, tuple[str, ...], object]]:
    """Operations that change something: the number, where (small letters, for Go takes both), and what is put there."""
    if not is_cluster(manifest) or any(pod_patch_is_one(manifest)):  # of a wrong one the operator applies nothing
        return
    for index, operation in enumerate(map(mapping, listing(decoded_patch(manifest)))):
        if operation.get("op") != "test":
            path = text(operation.get("path")).split("/")[1:]
            parts = tuple(part.replace("~1", "/").replace("~0", "~").lower() for part in path)  # RFC 6901 section 4
            yield index, parts, operation.get("value")


def _added(parts: tuple[str, ...], value: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Containers that are not ours, each with what to call it."""
    if len(parts) not in (2, 3) or parts[0] != "spec" or parts[1] not in _LISTS:
        return
    for each in listing(value) or [value]:
        container = _small(each)
        if container and not is_ours(container):
            yield text(container.get("name"))[:63] or "a container", container


def _shares_processes(parts: tuple[str, ...], value: object) -> bool:
    if len(parts) == 2 and parts[0] == "spec" and parts[1] in _NAMESPACES:
        return value is not False
    return parts == ("spec",) and any(_small(value).get(name) for name in _NAMESPACES)


def _replaces_one(manifest: Manifest, index: int, parts: tuple[str, ...]) -> bool:
    """Whether a container is taken out, put in the place of another, or made of one that is there."""
    is_one = len(parts) == 3 and parts[0] == "spec" and parts[1] in _LISTS
    return is_one and mapping(listing(decoded_patch(manifest))[index]).get("op") != "add"


def _small(value: object) -> dict[str, Any]:
    """With keys in small letters: the operator decodes a pod as Go does, which takes ``Env`` for ``env``."""
    return {name.lower(): each for name, each in mapping(value).items()}
