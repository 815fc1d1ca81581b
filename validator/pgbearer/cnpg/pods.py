"""Where manifests say what runs in pods, and which of it is our service."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from pgbearer.cnpg import operator
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = [
    "TEMPLATES",
    "at",
    "containers",
    "decoded_patch",
    "in_patch",
    "is_ours",
    "labels_of_service",
    "secret_in",
    "serves",
]

TEMPLATES: Final[Mapping[str, KeyPath]] = {
    "Pod": ("spec",),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template", "spec")),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
"""By kind, where the spec of a pod is."""
_PUBLIC: Final = "ca.crt"
"""The key of a Secret that holds the certificate of an authority alone, which clients need."""


def at(manifest: Manifest, path: KeyPath) -> Mapping[str, Any]:
    """The mapping at `path`; empty if there is none."""
    here: Mapping[str, Any] = manifest.value
    for part in path:
        here = mapping(here.get(str(part)))
    return here


def containers(pod: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Of the spec of a pod, each with its place."""
    for key in ("initContainers", "containers"):
        for index, each in enumerate(listing(pod.get(key))):
            yield (key, index), mapping(each)


def decoded_patch(manifest: Manifest) -> object:
    """What the annotation ``cnpg.io/podPatch`` of a Cluster holds; None if it cannot be read, or not by all alike."""
    try:
        patch = text(at(manifest, ("metadata", "annotations")).get(operator.POD_PATCH))
        return json.loads(patch, object_pairs_hook=_each_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def in_patch(patch: object, *members: str) -> Iterator[Mapping[str, Any]]:
    """What a patch of a pod puts into it that has one of these members."""
    for operation in listing(patch):
        value = mapping(operation).get("value")
        for each in listing(value) or [value]:
            if any(member in mapping(each) for member in members):
                yield mapping(each)


def is_ours(container: Mapping[str, Any]) -> bool:
    """Whether it looks as if it ran pgbearer."""
    return "pgbearer" in text(container.get("image")) or any("pgbearer" in word for word in _words(container))


def secret_in(source: object) -> str:
    """The Secret of which a volume, or a part of a projected one, gives more than the certificate of an authority.

    Empty if there is none. `source` is what stands at ``secret`` there; a volume's names it otherwise than a part's.
    """
    found = mapping(source)
    keys = {mapping(item).get("key") for item in listing(found.get("items"))}
    return "" if keys == {_PUBLIC} else text(found.get("secretName")) or text(found.get("name"))


def serves(container: Mapping[str, Any]) -> bool:
    """Whether it looks as if it ran our service, which is what our image runs unless it is told otherwise."""
    words = _words(container)
    return is_ours(container) and ("serve" in words or not any(word in ("proxy", "run", "psql") for word in words))


def labels_of_service(manifest: Manifest) -> Mapping[str, Any] | None:
    """Of its pods, if it is our service in pods of its own; None if not."""
    path = TEMPLATES.get(manifest.kind)
    if path is None or not any(
        place[0] == "containers" and serves(each) for place, each in containers(at(manifest, path))
    ):
        return None
    return mapping(at(manifest, (*path[:-1], "metadata")).get("labels"))


def _each_once(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """The operator decodes a pod as Go does, to which ``Image`` is ``image``: of two, either may hold."""
    members = dict(pairs)
    if len({name.lower() for name in members}) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is none of JSON's")


def _words(container: Mapping[str, Any]) -> list[str]:
    return [text(word) for key in ("command", "args") for word in listing(container.get(key))]
