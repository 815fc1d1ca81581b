"""The short spec of a Cluster that people log in to with tokens: strictly decoded, every problem with its path."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from pgbearer.config import ConfigError, Problem, Section
from pgbearer.config.decode import decode
from pgbearer.config.yaml_file import Budget, Document, parse_yaml
from pgbearer.errors import UsageError

__all__ = ["MAX_BYTES", "Images", "Role", "Spec", "decode_spec", "read_spec"]

MAX_BYTES: Final = 256 * 1024
"""Of a spec."""

_Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=50)]
_SqlName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63)]
_Word = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$", max_length=256)]  # without a quote or a backslash
_Image = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", max_length=512)]
_Line = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\r\n\\]+$")]

_GROUP: Final = "pgbearer_people"
_RESERVED: Final = re.compile(r"pg_.*|cnpg_.*|postgres|streaming_replica|public|none|all|replication|sameuser|samerole")


class Role(Section):
    """A role that people get by what their token says."""

    name: _SqlName
    """Of the role in the database."""
    inherits: Annotated[tuple[_SqlName, ...], Field(strict=False)] = ()
    """Roles that it is a member of, such as pg_read_all_data."""
    given_by: Annotated[tuple[_Word, ...], Field(strict=False)] = ()
    """Roles of the issuer that give it. Left out: the one of the same name."""


class Images(Section):
    """Where images come from; pin a digest."""

    service: _Image = "registry.example/pgbearer:0.1.0"
    module: _Image = "registry.example/pgbearer-module:0.1.0-18-trixie"
    postgres: _Image = "ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie"


class Spec(Section):
    """What differs between one Cluster and another."""

    version: Literal[1]
    name: _Label = "pg"
    """Of the Cluster."""
    namespace: _Label = "databases"
    issuer: _Word
    """Of the tokens, as it writes itself."""
    audience: _Word
    """Of tokens for this Cluster, and the scope that is asked for."""
    clients: Annotated[tuple[_Word, ...], Field(strict=False, min_length=1)] = ("pgbearer-cli", "pgbearer-device")
    """Who may have got the tokens."""
    database: _SqlName = "appdb"
    roles: Annotated[tuple[Role, ...], Field(strict=False, min_length=1, max_length=200)]
    """What people may be."""
    mode: Literal["service", "sidecar"] = "service"
    """Where the service runs: in pods of its own, or in each instance's."""
    certificates: Literal["cert-manager", "given"] = "cert-manager"
    """Who makes the two Secrets with certificates of mode service."""
    instances: Annotated[int, Field(ge=1, le=20)] = 3
    replicas: Annotated[int, Field(ge=1, le=8)] = 2
    """Of the service, at least."""
    storage: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(Mi|Gi|Ti)$")] = "10Gi"
    break_glass: _SqlName | None = "breakglass"
    """A superuser who comes in with a certificate when nobody else can; null for none."""
    images: Images = Images()
    lines: Annotated[tuple[_Line, ...], Field(strict=False, max_length=100)] = ()
    """More lines of pg_hba, above ours, that let nobody in beside OAuth."""
    insecure_lines: Annotated[tuple[_Line, ...], Field(strict=False, max_length=100)] = ()
    """More lines of pg_hba, above ours, that do."""


def read_spec(file: Path) -> Spec:
    """Read a spec.

    Raises:
        ConfigError: with every problem.
        UsageError: there is no such file, or it is too long.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", where=str(file)) from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"more than {MAX_BYTES // 1024} KiB", where=str(file))
    return decode_spec(data.decode("utf-8", errors="replace"), str(file))


def decode_spec(text: str, file: str) -> Spec:
    """Decode the text of a spec, which messages call `file`; raises ConfigError as `read_spec`."""
    document = parse_yaml(text, Budget(nodes=20_000))
    decoded = decode(document, Spec)
    problems = [*document.problems, *decoded.problems]
    if decoded.settings is not None:
        problems += _reserved(decoded.settings)
    if decoded.settings is None or problems:
        raise ConfigError(file, [_placed(problem, document, file) for problem in problems])
    return decoded.settings


def _reserved(spec: Spec) -> Iterator[Problem]:
    """Names that PostgreSQL or the operator has taken, and names that stand twice."""
    seen = {spec.break_glass}
    for index, role in enumerate(spec.roles):
        if _RESERVED.fullmatch(role.name) or role.name == _GROUP:
            yield Problem(path=("roles", index, "name"), message=f'"{role.name}" is not free', hint="name it otherwise")
        if role.name in seen:
            yield Problem(path=("roles", index, "name"), message=f'"{role.name}" stands here twice')
        seen.add(role.name)
    for key, name in (("database", spec.database), ("break_glass", spec.break_glass)):
        if name is not None and (_RESERVED.fullmatch(name) or name.startswith("template")):
            yield Problem(path=(key,), message=f'"{name}" is not free', hint="name it otherwise")


def _placed(problem: Problem, document: Document, file: str) -> Problem:
    line, column = (problem.line, problem.column) if problem.line else document.position(problem.path) or (None, None)
    return replace(problem, file=file, line=line, column=column)
