"""Judges manifests: every check over every object, and everything that was found, in the order of the files."""

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from pgbearer.cnpg import (
    about_agreement,
    about_certificates,
    about_elsewhere,
    about_images,
    about_lines,
    about_maps,
    about_names,
    about_objects,
    about_operations,
    about_patch,
    about_poolers,
    about_rights,
    about_roles,
    about_secrets,
    about_service,
    about_settings,
    about_sidecar,
    about_sql,
    about_together,
    about_volumes,
)
from pgbearer.cnpg.cluster import is_cluster, read_cluster
from pgbearer.cnpg.finding import Finding, Found
from pgbearer.cnpg.force import Force
from pgbearer.cnpg.stream import MAX_BYTES, Manifest, objects, read
from pgbearer.config import Problem
from pgbearer.config.yaml_file import Document
from pgbearer.errors import UsageError

__all__ = ["check_files", "check_force", "check_text"]

_ROOMS: Final = (
    *(about_objects, about_certificates, about_elsewhere, about_poolers),
    *(about_operations, about_patch, about_volumes, about_images, about_service),
)
"""Whose checks look at one object."""
_NOTHING_IS_OURS: Final = frozenset(
    {"hba_no_oauth", "extension_missing", "library_missing", "preload_missing", "endpoints_missing"}
)
"""What is found of a Cluster without pgbearer."""


def check_files(files: Sequence[str], images: Collection[str] = ()) -> list[Finding]:
    """Judge files of manifests, ``-`` for standard input; nothing is written, nobody is asked.

    Args:
        files: which; what is given together is judged together.
        images: what the image of the service may be, wherever the module comes from: an image, or its
            repository, with a digest or without.

    Raises:
        UsageError: one cannot be read, or is longer than `MAX_BYTES`.
    """
    return _judge([(name, _contents(name)) for name in files], images)


def check_text(content: str, file: str = "-", images: Collection[str] = ()) -> list[Finding]:
    """Judge one stream of manifests, which messages call `file`; `images` as for `check_files`."""
    return _judge([(file, content)], images)


def check_force(force: Force) -> Iterator[Found]:
    """Judge what decides who gets into one server."""
    for check in (*about_lines.CHECKS, *about_settings.CHECKS):
        yield from check(force)


def _judge(streams: Sequence[tuple[str, str]], images: Collection[str]) -> list[Finding]:
    of_streams: list[list[Finding]] = []
    placed: list[tuple[int, Manifest]] = []
    for number, (file, content) in enumerate(streams):
        documents = read(content)
        here = list(objects(documents, file))
        placed += [(number, manifest) for manifest in here]
        found = [_placed(manifest, each) for manifest in here for each in _begun(list(_about(manifest)))]
        of_streams.append([*_unreadable(documents, file), *found])
    manifests = [manifest for _, manifest in placed]
    stream_of = {id(manifest): number for number, manifest in placed}
    for manifest, each in _about_all(manifests, images):
        of_streams[stream_of[id(manifest)]].append(_placed(manifest, each))
    findings = [each for found in of_streams for each in sorted(found, key=_place)]
    if not any(map(is_cluster, manifests)):
        hint = "for a folder: kubectl kustomize FOLDER | pgbearer cnpg check -"
        said = "no Cluster of postgresql.cnpg.io was given, so there is little to judge"
        names = ", ".join(name for name, _ in streams)
        findings.append(Finding(code="no_cluster", path=(), message=said, hint=hint, file=names))
    return findings


def _place(finding: Finding) -> tuple[int, int]:
    return finding.line or 0, finding.column or 0


def _about_all(manifests: Sequence[Manifest], images: Collection[str]) -> Iterator[tuple[Manifest, Found]]:
    for room in (about_roles, about_rights, about_secrets, about_sql, about_agreement, about_names, about_together):
        for check in room.CHECKS:
            yield from check(manifests)
    yield from about_sidecar.services_are_ours(manifests, images)


def _about(manifest: Manifest) -> Iterator[Found]:
    for room in _ROOMS:
        for check in room.CHECKS:
            yield from check(manifest)
    lines = about_maps.lines_of(manifest)
    for look in about_maps.CHECKS:
        yield from look(lines)
    if is_cluster(manifest):
        cluster = read_cluster(manifest)
        yield from cluster.problems
        yield from check_force(cluster.force)


def _begun(found: Sequence[Found]) -> Sequence[Found]:
    """Of a Cluster in which nothing is ours that one thing, in the place of each that is not there."""
    if not {each.code for each in found} >= _NOTHING_IS_OURS:
        return found
    hint = "begin with docs/cloudnativepg.md, or with pgbearer cnpg render"
    message = "nobody logs in with a token: no line asks for one, and the module and its service are not there"
    rest = [each for each in found if each.code not in _NOTHING_IS_OURS]
    (path,) = {each.path for each in found if each.code == "hba_no_oauth"}
    return [Found("hba_no_oauth", path, message, hint), *rest]


def _placed(manifest: Manifest, found: Found) -> Finding:
    line, column = manifest.position(found.path) or (None, None)
    return Finding(
        code=found.code,
        path=found.path,
        message=found.message,
        hint=found.hint,
        file=manifest.file,
        document=manifest.number,
        what=manifest.what,
        line=line,
        column=column,
    )


def _unreadable(documents: Iterable[Document], file: str) -> Iterator[Finding]:
    for number, document in enumerate(documents, start=1):
        for problem in document.problems:
            yield Finding(
                code=_code(problem),
                path=problem.path,
                message=problem.message,
                hint=problem.hint or "mend the file",
                file=file,
                document=number,
                line=problem.line,
                column=problem.column,
            )


def _code(problem: Problem) -> str:
    if not problem.is_error:
        return "yaml_ambiguous"
    return "not_yaml" if not problem.path and problem.message.startswith("not YAML") else "yaml"


def _contents(name: str) -> str:
    try:
        if name == "-":
            return _decoded(sys.stdin.buffer, "standard input")
        with Path(name).open("rb") as file:
            return _decoded(file, name)
    except IsADirectoryError:
        raise UsageError(
            "this is a folder", where=name, hint="Pipe it: kubectl kustomize FOLDER | pgbearer cnpg check -"
        ) from None
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", where=name) from None


def _decoded(file: IO[bytes], name: str) -> str:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError(f"more than {MAX_BYTES // 1024**2} MiB", where=name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8, at byte {error.start}", where=name) from None
