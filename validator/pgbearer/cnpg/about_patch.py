"""Checks on what is put beside PostgreSQL, or in its place: by the patch of the pods, and by what runs in them.

Who shares a volume, the processes or the environment of PostgreSQL reads what it reads and decides who gets in.
"""

from collections.abc import Callable, Iterator
from typing import Final

from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.patch import ANNOTATION, CONTAINERS, Operation, operations, small
from pgbearer.cnpg.pods import at, is_ours
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_SHARED: Final = frozenset({"scratch-data", "pgdata", "pg-wal"})
"""Volumes that the operator mounts into PostgreSQL's container: its sockets, and its data with pg_hba.conf."""
_NAMESPACES: Final = frozenset({"shareprocessnamespace", "hostpid", "hostipc"})
_WHAT_RUNS: Final = frozenset({"image", "command", "args", "env", "envfrom", "volumemounts", "lifecycle"})
_POSTGRES: Final = 26
"""Its uid, which the operator gives the whole pod (postgresUID): a container that says no other has it."""
_HARMLESS: Final = frozenset({"NET_BIND_SERVICE"})
"""The one capability that restricted pods may add."""
_LABELS: Final = ("cnpg.io/", "pgbearer.example/")
_LOADER: Final = frozenset({"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"})  # ld.so(8)


def nobody_is_let_into_the_pod(manifest: Manifest) -> Iterator[Found]:
    """A container with PostgreSQL's volumes or processes is as good as PostgreSQL, and so is one that has the node."""
    for operation in operations(manifest):
        if _shares_processes(operation):
            hint = "take it out: every container may then read and change PostgreSQL's memory and files"
            message = f"operation {operation.index} shares the pod's processes, or the node's"
            yield Found("pod_shared", ANNOTATION, message, hint)
        for name, container in operation.containers():
            mounts = {text(small(mount).get("name")) for mount in listing(container.get("volumemounts"))}
            if (shared := sorted(mounts & _SHARED)) and not is_ours(container):
                message = f"operation {operation.index} mounts {', '.join(shared)}, which is PostgreSQL's, into {name}"
                yield Found("pod_shared", ANNOTATION, message, "give it a volume of its own")
            security = small(container.get("securitycontext"))
            added = set(map(text, listing(small(security.get("capabilities")).get("add")))) - _HARMLESS
            if security.get("privileged") is True or added:
                what = "privileged" if security.get("privileged") is True else f"with {', '.join(sorted(added))[:100]}"
                message = f"operation {operation.index} runs {name} {what}, from where PostgreSQL's files are reached"
                yield Found("pod_shared", ANNOTATION, message, "write capabilities: {drop: [ALL]} and no more")


def others_have_a_user_of_their_own(manifest: Manifest) -> Iterator[Found]:
    """By the user of a process the module and the service know each other at their socket."""
    spec = at(manifest, ("spec",))
    of_pod = spec.get("postgresUID", _POSTGRES)
    for operation in operations(manifest):
        for name, container in operation.containers():
            user = small(container.get("securitycontext")).get("runasuser", of_pod)
            if user in (0, of_pod) and not is_ours(container):
                message = f"operation {operation.index} runs {name} as {user}"
                hint = f"write securityContext: {{runAsUser: N}}, neither 0 nor {str(of_pod)[:20]}, which is the pod's"
                yield Found("pod_user", ANNOTATION, message, hint)


def postgres_is_the_operators(manifest: Manifest) -> Iterator[Found]:
    """What its container runs and mounts, and whatever of its own the operator starts before it."""
    for operation in operations(manifest):
        parts = operation.parts
        inside = len(parts) > 3 and parts[0] == "spec" and parts[1] in CONTAINERS and parts[3] in _WHAT_RUNS
        whole = parts in ((), ("spec",)) or (len(parts) == 2 and parts[0] == "spec" and parts[1] in CONTAINERS)
        if inside or whole or _replaces_one(operation) or _changes_volumes(operation):
            message = f"operation {operation.index} changes what the operator's containers run ({operation.path})"
            yield Found("pod_replaced", ANNOTATION, message, "add what is yours, whole, by /-, and change nothing else")


def pods_are_behind_policies(manifest: Manifest) -> Iterator[Found]:
    """NetworkPolicies hold for pods' own networks; on the node's, PostgreSQL is open to whoever reaches the node."""
    for operation in operations(manifest):
        of_spec = operation.parts == ("spec",) and small(operation.value).get("hostnetwork")
        if of_spec or (operation.parts == ("spec", "hostnetwork") and operation.value is not False):
            message = f"operation {operation.index} puts the pods into the node's network, where no NetworkPolicy holds"
            yield Found("network_open", ANNOTATION, message, "take it out")


def pods_are_known_by_their_labels(manifest: Manifest) -> Iterator[Found]:
    """By the operator's and ours the NetworkPolicies choose pods: one that has others is open to all."""
    for operation in operations(manifest):
        parts = operation.parts
        label = "/".join(parts[2:3])
        is_other = operation.op == "add" and len(parts) == 3 and not label.startswith(_LABELS)
        if parts[:2] == ("metadata", "labels") and not is_other:
            message = f"operation {operation.index} changes labels by which NetworkPolicies know the pods"
            yield Found("network_open", ANNOTATION, message, "add labels of your own, one by one, and change none")


def loader_is_left_alone(manifest: Manifest) -> Iterator[Found]:
    """ld.so loads what these name before, or in the place of, what PostgreSQL asks for."""
    if not is_cluster(manifest):
        return
    for path, variable in _environment(manifest):
        if variable in _LOADER:
            message = f"{variable} loads libraries into PostgreSQL, or others in the place of its own"
            yield Found("library_elsewhere", path, message, "take it out")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    nobody_is_let_into_the_pod,
    others_have_a_user_of_their_own,
    postgres_is_the_operators,
    pods_are_behind_policies,
    pods_are_known_by_their_labels,
    loader_is_left_alone,
)


def _shares_processes(operation: Operation) -> bool:
    parts, value = operation.parts, operation.value
    if len(parts) == 2 and parts[0] == "spec" and parts[1] in _NAMESPACES:
        return value is not False
    return parts == ("spec",) and any(small(value).get(name) for name in _NAMESPACES)


def _replaces_one(operation: Operation) -> bool:
    """Whether a container is taken out, put in the place of another, or made of one that is there."""
    parts = operation.parts
    return len(parts) == 3 and parts[0] == "spec" and parts[1] in CONTAINERS and operation.op != "add"


def _changes_volumes(operation: Operation) -> bool:
    """Whether one of the operator's volumes becomes another; one more is judged by about_volumes.py."""
    parts = operation.parts
    return parts[:2] == ("spec", "volumes") and (len(parts) != 3 or operation.op != "add")


def _environment(manifest: Manifest) -> Iterator[tuple[KeyPath, str]]:
    """Names of variables of PostgreSQL's container: the Cluster's, and those of extensions."""
    for index, variable in enumerate(listing(at(manifest, ("spec",)).get("env"))):
        yield ("spec", "env", index), text(mapping(variable).get("name"))
    path: KeyPath = ("spec", "postgresql", "extensions")
    for index, extension in enumerate(listing(at(manifest, path[:-1]).get("extensions"))):
        for number, variable in enumerate(listing(mapping(extension).get("env"))):
            yield (*path, index, "env", number), text(mapping(variable).get("name"))
