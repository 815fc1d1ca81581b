"""What the annotation ``cnpg.io/podPatch`` of a Cluster puts into its pods, operation by operation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.about_objects import pod_patch_is_one
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.pods import decoded_patch
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["ANNOTATION", "CONTAINERS", "Operation", "operations", "small"]

ANNOTATION: Final[KeyPath] = ("metadata", "annotations", operator.POD_PATCH)
"""Where the patch is, and so where whatever is found in it is told of."""
CONTAINERS: Final = frozenset({"containers", "initcontainers", "ephemeralcontainers"})
"""Lists of a pod's spec that have containers."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One that changes something. `parts` are those of its path (RFC 6901 section 4), in small letters."""

    index: int
    op: str
    parts: tuple[str, ...]
    value: object

    @property
    def path(self) -> str:
        """To be shown."""
        return f"/{'/'.join(self.parts)}"[:100]

    def puts(self, *lists: str) -> Iterator[dict[str, Any]]:
        """What it puts into one of these lists of the pod's spec: one, or all of them; with keys in small letters."""
        if len(self.parts) in (2, 3) and self.parts[0] == "spec" and self.parts[1] in lists:
            yield from filter(None, map(small, listing(self.value) or [self.value]))

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Those that it puts into the pod, each with what to call it; keys are in small letters."""
        for container in self.puts(*CONTAINERS):
            yield text(container.get("name"))[:63] or "a container", container


def operations(manifest: Manifest) -> Iterator[Operation]:
    """Of a Cluster's patch; none of another object, or of a wrong patch, of which the operator applies nothing."""
    if not is_cluster(manifest) or any(pod_patch_is_one(manifest)):
        return
    for index, operation in enumerate(map(mapping, listing(decoded_patch(manifest)))):
        if operation.get("op") != "test":
            path = text(operation.get("path")).split("/")[1:]
            parts = tuple(part.replace("~1", "/").replace("~0", "~").casefold() for part in path)
            yield Operation(index, text(operation.get("op")), parts, operation.get("value"))


def small(value: object) -> dict[str, Any]:
    """With keys in small letters: the operator decodes a pod as Go does, which takes ``Env`` for ``env``.

    It also takes U+017F for s and U+212A for k (foldName of encoding/json), which case folding does too.
    """
    return {name.casefold(): each for name, each in mapping(value).items()}
