"""Rules as they are written, and the files in ``policy.d`` that teams keep theirs in."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from pgbearer.config.deciders import Ask
from pgbearer.config.section import Duration, Name, Section

__all__ = ["FileLimits", "PolicyFile", "RolesFrom", "Rule", "RuleSession"]


class RuleSession(Section):
    """What a rule says otherwise than `defaults.session`; what it leaves out is taken from there."""

    until: Literal["sso", "token", "fixed"] | None = None
    """When sessions that this rule allows end."""
    max: Annotated[Duration, Field(ge=1)] | None = None
    """The longest such a session may last."""


class RolesFrom(Section):
    """Database roles named by the token itself: one rule for many teams."""

    claim: Name
    """`token_roles`, `groups`, `organizations`, or a declared claim of type string or string_list."""
    strip: Annotated[str, Field(max_length=128)] = ""
    """Only values that begin with this count, and it is cut off."""


class Rule(Section):
    """Who gets which role in which database, or is denied. All that a rule says must hold; order does not matter."""

    name: Name
    """What the audit and `explain` call the rule. Unique."""
    deny: bool = False
    """Refuse what matches. A deny rule wins over every allow rule; what it leaves out means all."""
    servers: tuple[Name, ...] = ()
    """Servers (names under `servers`) it holds for. Left out: all."""
    issuers: tuple[Name, ...] = ()
    """Issuers (names under `issuers`) it holds for. Left out: all."""
    databases: tuple[Name, ...] = ()
    """Databases: exact names, globs with `*` and `?`, or templates. Required in an allow rule, except for physical
    replication alone."""
    roles: tuple[Name, ...] = ()
    """Database roles: exact names, globs with `*` and `?`, or templates. An allow rule has this or `roles_from`."""
    roles_from: RolesFrom | None = None
    any_role: tuple[Name, ...] = ()
    """The token has at least one of these roles (from `token_roles`)."""
    all_roles: tuple[Name, ...] = ()
    """The token has every one of these roles."""
    any_group: tuple[Name, ...] = ()
    """The token has at least one of these groups."""
    any_organization: tuple[Name, ...] = ()
    """The token has at least one of these organizations (by alias)."""
    actor: Literal["forbid", "require"] | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Who acts for the person (`issuers.NAME.agents`): `forbid` nobody, `require` any agent, or one of those named.
    Left out: `forbid` in an allow rule; a deny rule holds whoever acts."""
    from_: Annotated[tuple[Name, ...], Field(alias="from")] = ()
    """The client connects from one of these networks (CIDR). A Unix socket is in none."""
    when: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A condition in CEL; it counts only if it is true."""
    tier: Literal["normal", "critical"] = "normal"
    """`critical`: the login must also meet `issuers.NAME.critical`, and the session ends with the token unless
    `session` says otherwise. If several rules allow a login, the strictest tier counts."""
    ask: Ask | None = None
    fallback: bool = False
    """The rule counts only where an `on_fault` names it and that decider cannot be asked."""
    session: RuleSession | None = None
    privileged: bool = False
    """The rule may give a role that the catalog says is privileged, named exactly."""
    replication: tuple[Literal["logical", "physical"], ...] = ()
    """Kinds of replication connection that an allow rule is for; left out: none. A deny rule without it is for all."""
    expires: date | None = None
    """The last day (UTC) on which the rule holds; no session it allows lasts longer."""
    ticket: Annotated[str, Field(max_length=256)] | None = None
    """Why the rule is there, for people."""


class FileLimits(Section):
    """What the rules of one file may speak of. A rule that could reach further keeps everything from being used."""

    databases: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Databases: exact names and globs; `["*"]` for all."""
    roles: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Database roles: exact names and globs; `["*"]` for all. A privileged role must be named exactly here too."""
    servers: tuple[Name, ...] = ()
    """Servers (names under `servers`). Left out: all."""


class PolicyFile(Section):
    """A file in `policy.d`, beside pgbearer.yaml: rules that somebody else keeps, within limits."""

    owner: Annotated[str, Field(min_length=1, max_length=256)]
    """Who keeps these rules, for people: a team, a mailbox."""
    limits: FileLimits
    rules: tuple[Rule, ...]
    """As in pgbearer.yaml; their names are unique over all files."""
