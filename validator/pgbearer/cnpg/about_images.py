"""Checks on images: that they are to be had and say a version, and that the module's is for its PostgreSQL."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import TEMPLATES, at, containers, decoded_patch, in_patch, is_ours
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS", "EXAMPLE", "FIRST_WITH_OAUTH"]

FIRST_WITH_OAUTH: Final = 18
"""Of PostgreSQL."""
_TAG: Final = re.compile(r":([A-Za-z0-9_][A-Za-z0-9._-]*)(?:@[^/]*)?$")
_MAJOR: Final = re.compile(r"(1[0-9]|2[0-9])(?:\.[0-9]+)*(?:beta[0-9]+|rc[0-9]+)?")
_DEBIANS: Final = frozenset({"bullseye", "bookworm", "trixie", "forky"})
EXAMPLE: Final = "registry.example/"
"""In the images of what ships."""
_EXTENSIONS: Final[KeyPath] = ("spec", "postgresql", "extensions")


def postgres_has_oauth(manifest: Manifest) -> Iterator[Found]:
    """From 18 on; the tag of CloudNativePG's own images begins with the version, a catalog is asked for one."""
    if not is_cluster(manifest):
        return
    spec = at(manifest, ("spec",))
    major = _major(_tag(text(spec.get("imageName"))).partition("-")[0])
    path: KeyPath = ("spec", "imageName")
    asked = mapping(spec.get("imageCatalogRef")).get("major")
    if major is None and isinstance(asked, int):
        major, path = asked, ("spec", "imageCatalogRef", "major")
    if major is not None and major < FIRST_WITH_OAUTH:
        message = f"PostgreSQL {major} takes no oauth line"
        yield Found("version_too_old", path, message, f"use {FIRST_WITH_OAUTH} or newer")


def module_fits(manifest: Manifest) -> Iterator[Found]:
    """A library for another version, or for another Debian's OpenSSL, is not loaded: the instance does not start."""
    if not is_cluster(manifest):
        return
    spec = at(manifest, ("spec",))
    server = _parts(text(spec.get("imageName")))
    asked = mapping(spec.get("imageCatalogRef")).get("major")
    wanted = {asked} if isinstance(asked, int) else _majors(server[:1])
    if any(major < FIRST_WITH_OAUTH for major in wanted):
        return  # `postgres_has_oauth` tells of it
    for index, extension in enumerate(map(mapping, listing(at(manifest, _EXTENSIONS[:-1]).get("extensions")))):
        if "pgbearer" not in text(extension.get("name")):
            continue
        parts = _parts(text(mapping(extension.get("image")).get("reference")))
        for what, ours, theirs in (
            ("PostgreSQL", _majors(parts), wanted),
            ("Debian", _DEBIANS & set(parts), _DEBIANS & set(server)),
        ):
            if ours and theirs and not ours & theirs:
                message = f"the module's image is for {what} {_listed(ours)}, the server's has {_listed(theirs)}"
                path = (*_EXTENSIONS, index, "image", "reference")
                yield Found("extension_mismatch", path, message, "take the image that is made for it")


def images_say_a_version(manifest: Manifest) -> Iterator[Found]:
    """What is newest at the time is another thing on each node, and nobody has tried it."""
    for path, image in _images(manifest):
        if image and "@sha256:" not in image and _tag(image) in ("", "latest"):
            message = f"{image[:200]} is whatever is newest"
            yield Found("image_floating", path, message, "name a version, or pin a digest: @sha256:...")


def images_are_published(manifest: Manifest) -> Iterator[Found]:
    """A name below .example (RFC 2606) is nobody's: it stands for the registry that you push to."""
    for path, image in _images(manifest):
        if image.startswith(EXAMPLE):
            message = f"{image[:200]} is an example, which nobody has published"
            hint = "build it (cnpg/image), and name your registry"
            yield Found("image_example", path, message, hint)


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    postgres_has_oauth,
    module_fits,
    images_say_a_version,
    images_are_published,
)


def _images(manifest: Manifest) -> Iterator[tuple[KeyPath, str]]:
    """Those that decide who gets in: of the server, of the module, of ours in pods."""
    template = TEMPLATES.get(manifest.kind)
    if template is not None:
        for place, container in containers(at(manifest, template)):
            if is_ours(container):
                yield (*template, *place, "image"), text(container.get("image"))
    elif is_cluster(manifest):
        yield ("spec", "imageName"), text(at(manifest, ("spec",)).get("imageName"))
        for index, extension in enumerate(listing(at(manifest, _EXTENSIONS[:-1]).get("extensions"))):
            image: Mapping[str, Any] = mapping(mapping(extension).get("image"))
            yield (*_EXTENSIONS, index, "image", "reference"), text(image.get("reference"))
        for container in in_patch(decoded_patch(manifest), "image"):
            if is_ours(container):
                yield ("metadata", "annotations", "cnpg.io/podPatch"), text(container.get("image"))


def _tag(image: str) -> str:
    found = _TAG.search(image)
    return found[1] if found else ""


def _parts(image: str) -> list[str]:
    return _tag(image).split("-")


def _major(part: str) -> int | None:
    found = _MAJOR.fullmatch(part)
    return int(found[1]) if found else None


def _majors(parts: list[str]) -> set[int]:
    return {major for part in parts if (major := _major(part)) is not None}


def _listed(values: set[int] | set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(map(str, values)))
