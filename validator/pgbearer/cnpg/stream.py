"""A stream of Kubernetes' manifests to its objects, each with the place of everything in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pgbearer.config import KeyPath
from pgbearer.config.yaml_file import Budget, Document, Position, parse_documents

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Manifest", "listing", "mapping", "objects", "read", "text"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of one stream: an operator with its definitions has 2 MiB."""
MAX_DEPTH: Final = 64
"""Nesting beyond this is refused; the schemas of definitions stand at 40."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object. `top` is the way to it within its document, which an item of a List has."""

    file: str
    number: int
    """Of its document, from 1."""
    value: Mapping[str, Any]
    document: Document
    top: KeyPath = ()

    @property
    def kind(self) -> str:
        """As it says itself; empty if it does not."""
        return text(self.value.get("kind"))

    @property
    def group(self) -> str:
        """Of its ``apiVersion``; empty for core kinds."""
        return text(self.value.get("apiVersion")).rpartition("/")[0]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Empty if it has none."""
        return mapping(self.value.get("metadata"))

    @property
    def what(self) -> str:
        """``KIND/NAME``."""
        return f"{self.kind}/{text(self.metadata.get('name'))}"

    def position(self, path: KeyPath) -> Position | None:
        """Where the value at `path`, or the nearest thing around it, stands in the file."""
        return self.document.position((*self.top, *path))


def read(text: str) -> list[Document]:
    """The documents of a stream, bounded all together as one settings file is."""
    return parse_documents(text, Budget(), depth=MAX_DEPTH)


def objects(documents: Sequence[Document], file: str) -> Iterator[Manifest]:
    """The objects in a stream, those in a list (as ``kubectl get`` prints it) one by one; other documents left out."""
    for number, document in enumerate(documents, start=1):
        yield from _objects(Manifest(file, number, mapping(document.value), document))


def _objects(manifest: Manifest) -> Iterator[Manifest]:
    """Kubernetes takes for a list whatever has ``items`` (helpers.go of apimachinery's unstructured), within one too.

    What has no kind there is of the list's: a ``PodList`` has Pods. What has items and is called no list is judged as
    what it is called as well. It ends where the document does, which is at most `MAX_DEPTH` deep.
    """
    items = manifest.value.get("items")
    if manifest.value and not (isinstance(items, list | tuple) and manifest.kind.endswith("List")):
        yield manifest
    for index, item in enumerate(map(mapping, listing(items))):
        value = item
        if item and not (item.get("kind") or item.get("apiVersion")):
            kind = manifest.kind.removesuffix("List")
            value = {**item, "kind": kind, "apiVersion": manifest.value.get("apiVersion")}
        top = (*manifest.top, "items", index)
        yield from _objects(Manifest(manifest.file, manifest.number, value, manifest.document, top))


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> Sequence[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str:
    """`value` if it is text, else nothing."""
    return value if isinstance(value, str) else ""
