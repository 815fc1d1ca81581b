"""Checks on what is put beside PostgreSQL, or in its place: by the patch of the pods, and by what runs in them.

Who shares a volume, the processes or the environment of PostgreSQL reads what it reads and decides who gets in.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.ours import mounts, unlike_ours
from pgbearer.cnpg.patch import ANNOTATION, operations, small
from pgbearer.cnpg.pods import at, is_ours
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_POSTGRES: Final = 26
"""Its uid, which the operator gives the whole pod (postgresUID): a container that says no other has it."""
_HARMLESS: Final = frozenset({"NET_BIND_SERVICE"})
"""The one capability that restricted pods may add."""
_LOADER: Final = re.compile(r"LD_.*|GLIBC_TUNABLES|GCONV_PATH|OPENSSL_.*|PG.*")
"""ld.so(8), iconv(3), openssl-env(7), and libpq's, which the server's own connections and commands go by."""


def nobody_is_let_into_the_pod(manifest: Manifest) -> Iterator[Found]:
    """A container with a volume of the operator's is as good as PostgreSQL, and so is one that has the node."""
    own = _volumes(manifest)
    for index, name, container in _containers(manifest):
        if (shared := sorted(mounts(container) - own)) and not _is_excused(container, own):
            into = _called(name, container, own)
            message = f"operation {index} mounts {', '.join(shared)[:200]}, which is PostgreSQL's, into {into}"
            yield Found("pod_shared", ANNOTATION, message, "give it a volume of its own, which the patch adds")
        security = small(container.get("securitycontext"))
        added = set(map(text, listing(small(security.get("capabilities")).get("add")))) - _HARMLESS
        if security.get("privileged") is True or added:
            what = "privileged" if security.get("privileged") is True else f"with {', '.join(sorted(added))[:100]}"
            message = f"operation {index} runs {name} {what}, from where PostgreSQL's files are reached"
            yield Found("pod_shared", ANNOTATION, message, "write capabilities: {drop: [ALL]} and no more")


def others_have_a_user_of_their_own(manifest: Manifest) -> Iterator[Found]:
    """By the user of a process the module and the service know each other at their socket."""
    of_pod = at(manifest, ("spec",)).get("postgresUID", _POSTGRES)
    own = _volumes(manifest)
    for index, name, container in _containers(manifest):
        user = small(container.get("securitycontext")).get("runasuser", of_pod)
        if user in (0, of_pod) and not _is_excused(container, own):
            message = f"operation {index} runs {_called(name, container, own)} as {str(user)[:20]}"
            hint = f"write securityContext: {{runAsUser: N}}, neither 0 nor {str(of_pod)[:20]}, which is the pod's"
            yield Found("pod_user", ANNOTATION, message, hint)


def pods_are_behind_policies(manifest: Manifest) -> Iterator[Found]:
    """A port of the node leads to whatever listens there in the pod, past what knows who asks by its address."""
    for index, name, container in _containers(manifest):
        if any(small(port).get("hostport") for port in listing(container.get("ports"))):
            message = f"operation {index} opens a port of the node into the pods, with {name}"
            yield Found("network_open", ANNOTATION, message, "take hostPort out")


def loader_is_left_alone(manifest: Manifest) -> Iterator[Found]:
    """What they name is loaded before, or in the place of, what PostgreSQL asks for, or says where libpq connects."""
    if not is_cluster(manifest):
        return
    for path, variable in _environment(manifest):
        if _LOADER.fullmatch(variable):
            message = f"{variable} loads libraries into PostgreSQL, or sets what those go by"
            yield Found("library_elsewhere", path, message, "take it out")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    nobody_is_let_into_the_pod,
    others_have_a_user_of_their_own,
    pods_are_behind_policies,
    loader_is_left_alone,
)


def _is_excused(container: Mapping[str, Any], volumes: set[str]) -> bool:
    return is_ours(container) and unlike_ours(container, volumes) is None


def _called(name: str, container: Mapping[str, Any], volumes: set[str]) -> str:
    """A container by its name, and why it is not excused if it is called as our service is."""
    if not is_ours(container):
        return name
    return f"{name} (not as cnpg/components/sidecar has it: {unlike_ours(container, volumes)})"


def _containers(manifest: Manifest) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Those that the patch puts into the pods: the number of the operation, their name, and themselves."""
    for operation in operations(manifest):
        for name, container in operation.containers():
            yield operation.index, name, container


def _volumes(manifest: Manifest) -> set[str]:
    """Names of those that the patch adds; all others that a container can mount are the operator's."""
    return {text(volume.get("name")) for operation in operations(manifest) for volume in operation.puts("volumes")}


def _environment(manifest: Manifest) -> Iterator[tuple[KeyPath, str]]:
    """Names of variables of PostgreSQL's container: the Cluster's, and those of extensions."""
    for index, variable in enumerate(listing(at(manifest, ("spec",)).get("env"))):
        yield ("spec", "env", index), text(mapping(variable).get("name"))
    path: KeyPath = ("spec", "postgresql", "extensions")
    for index, extension in enumerate(listing(at(manifest, path[:-1]).get("extensions"))):
        for number, variable in enumerate(listing(mapping(extension).get("env"))):
            yield (*path, index, "env", number), text(mapping(variable).get("name"))
