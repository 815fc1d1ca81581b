"""A file of cases: what a policy must decide, written down beside it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from pgbearer.config import ConfigError, Problem, Section
from pgbearer.config.decode import decode
from pgbearer.config.section import Duration, Name
from pgbearer.config.yaml_file import Document, parse_yaml
from pgbearer.wire import Reason

__all__ = ["Case", "CaseDefaults", "CaseFile", "Cases", "Expect", "RequestOfCase", "TokenOfCase", "parse_cases"]

Opinion = Literal["allow", "deny", "unavailable", "misconfigured", "unaskable"]
Attribute = Literal["superuser", "replication", "createrole", "createdb", "bypassrls"]


class TokenOfCase(Section):
    """What a verified token says. What is left out is taken from `defaults.token`."""

    issuer: Name | None = None
    """Its issuer's name under `issuers`. Default: the only one."""
    sub: Name | None = None
    """Default: `someone`."""
    client: Name | None = None
    """The client that got it. Default: the first of the issuer's `clients`, or of the agent's."""
    actor: Name | None = None
    """The agent that acts, by its name under `agents`. Default: nobody, unless `client` is an agent's."""
    prior_actors: tuple[Name, ...] | None = None
    """Who acted before that agent, the latest first. Nothing is decided by it."""
    scopes: tuple[Name, ...] | None = None
    roles: tuple[Name, ...] | None = None
    groups: tuple[Name, ...] | None = None
    organizations: tuple[Name, ...] | None = None
    claims: dict[Name, str | int | bool | tuple[str, ...]] | None = None
    """Claims that the issuer declares; one that is not here the token lacks."""
    age: Duration | None = None
    """How long ago it was issued. Default: `0s`."""
    lifetime: Annotated[Duration, Field(ge=1)] | None = None
    """Default: `5m`."""
    authenticated: Duration | None = None
    """How long ago the person authenticated (auth_time). Default: not said."""
    acr: Name | None = None
    """How (acr). Default: not said."""


class RequestOfCase(Section):
    """What is asked. What is left out is taken from `defaults.request`."""

    role: Name | None = None
    database: Name | None = None
    server: Name | None = None
    """The asking server's name under `servers`. Default: the only one."""
    address: Name | None = None
    """Of the client. Default: a Unix socket."""
    time: datetime | None = None
    """When. Default: 2030-01-01T12:00:00Z, so that a case means the same on every day."""
    replication: Literal["none", "logical", "physical"] | None = None
    attributes: tuple[Attribute, ...] | None = None
    """What the catalog says of the role."""
    member_of: tuple[Name, ...] | None = None
    """Privileged `pg_*` roles it is a member of."""
    exists: bool | None = None
    """Whether the role does. Default: true."""
    tls: Name | None = None
    """The client's TLS version, such as `TLSv1.3`. Default: none."""
    certificate: Name | None = None
    """SHA-256 (hex) of the client certificate that PostgreSQL verified."""
    application_name: str | None = None
    in_recovery: bool | None = None


class Expect(Section):
    """What must be decided; what is left out does not matter."""

    decision: Literal["allow", "deny"]
    reason: Name | None = None
    """Of a denial, e.g. `no_rule`."""
    rules: tuple[Name, ...] | None = None
    """The names of all rules that decide."""
    ends_in: Duration | None = None
    """How long the session may last."""


class Case(Section):
    """One case."""

    name: Name
    token: TokenOfCase = TokenOfCase()
    request: RequestOfCase = RequestOfCase()
    opinions: dict[Name, Opinion] = Field(default_factory=dict)
    """What deciders say, by their names under `deciders`. One that is not here does not answer."""
    expect: Expect


class CaseDefaults(Section):
    """What cases get that do not say otherwise."""

    token: TokenOfCase = TokenOfCase()
    request: RequestOfCase = RequestOfCase()
    opinions: dict[Name, Opinion] = Field(default_factory=dict)
    """What deciders say; a case replaces what it says of one."""


class CaseFile(Section):
    """The whole file."""

    version: Literal[1]
    policy: Name | None = None
    """The policy file, as seen from this file's folder."""
    defaults: CaseDefaults = CaseDefaults()
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """A file of cases that can be run, and the line of each."""

    file: CaseFile
    lines: tuple[int, ...]


def parse_cases(text: str, file: str) -> Cases:
    """Read a file of cases.

    Args:
        text: YAML, as strict as pgbearer.yaml.
        file: its name, for messages.

    Raises:
        ConfigError: with every problem and its line.
    """
    document = parse_yaml(text)
    decoded = decode(document, CaseFile)
    problems = [*document.problems, *decoded.problems]
    if decoded.settings is not None:
        problems += _senseless(decoded.settings)
    if decoded.settings is None or problems:
        raise ConfigError(file, [_placed(problem, file, document) for problem in problems])
    lines = tuple((document.position(("cases", at)) or (1, 1))[0] for at in range(len(decoded.settings.cases)))
    return Cases(decoded.settings, lines)


def _senseless(file: CaseFile) -> Iterable[Problem]:
    if not file.cases:
        yield Problem(path=("cases",), message="there is no case")
    known = {reason.value for reason in Reason}
    for at, case in enumerate(file.cases):
        if case.expect.reason is not None and case.expect.reason not in known:
            message = f"there is no reason {case.expect.reason!r}"
            yield Problem(path=("cases", at, "expect", "reason"), message=message, hint="see docs/reasons.md")


def _placed(problem: Problem, file: str, document: Document) -> Problem:
    line, column = problem.line, problem.column
    if line is None:
        line, column = document.position(problem.path) or (None, None)
    return replace(problem, file=file, line=line, column=column)
