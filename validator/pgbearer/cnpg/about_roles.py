"""Checks on what people's roles may do once they are in: whoever is a superuser in effect needs no token any more."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.cluster import is_cluster, read_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.cnpg.taken import given_role
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_ROLES: Final[KeyPath] = ("spec", "managed", "roles")
_INITDB: Final[KeyPath] = ("spec", "bootstrap", "initdb")
_SQL: Final = ("postInitSQL", "postInitApplicationSQL", "postInitTemplateSQL")
_ATTRIBUTES: Final = ("superuser", "createrole", "bypassrls", "replication")
_PASSWORD: Final = re.compile(r"\b(?:role|user|group)\b[^;]*\bpassword\b(?!\s+null\b)", re.IGNORECASE)


def people_have_no_power(manifest: Manifest) -> Iterator[Found]:
    """What a role may be by SET ROLE counts as its own: it sets itself a password, or writes pg_hba.conf."""
    roles = _managed(manifest)
    for name, (path, _) in _members(manifest, roles).items():
        for reached in _reached(name, roles):
            if said := _power(reached, roles):
                message = f"{name[:63]} is had by a token, and {'is' if reached == name else 'may become'} {said}"
                yield Found("role_powerful", path, message, "take it out: break-glass is a role of its own")


def people_come_with_tokens(manifest: Manifest) -> Iterator[Found]:
    """A certificate is no token: who has one comes in when the issuer has locked them out."""
    members = _members(manifest, _managed(manifest))
    if not members:
        return
    for placed in read_cluster(manifest).force.written:
        named = sorted({token.text for token in placed.line.users} & set(members))
        if placed.path is not None and placed.line.method == "cert" and named:
            message = f"cert lets in without a token {', '.join(named)[:200]}, whom an oauth line is for"
            yield Found("beside_oauth", placed.path, message, "name a role that nobody has by a token")


def nothing_sets_passwords(manifest: Manifest) -> Iterator[Found]:
    """SQL that runs once, as postgres, before people come; whoever reads the manifest reads the password."""
    if not is_cluster(manifest):
        return
    for key in _SQL:
        for index, statement in enumerate(listing(at(manifest, _INITDB).get(key))):
            if _PASSWORD.search(text(statement)):
                message = "the statement gives a role a password, which stands here for all to read"
                yield Found("sql_password", (*_INITDB, key, index), message, "take the password out")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    people_have_no_power,
    people_come_with_tokens,
    nothing_sets_passwords,
)

_Roles = Mapping[str, tuple[KeyPath, Mapping[str, Any]]]


def _managed(manifest: Manifest) -> _Roles:
    """By name, each with its place."""
    if not is_cluster(manifest):
        return {}
    found = enumerate(map(mapping, listing(at(manifest, _ROLES[:-1]).get("roles"))))
    return {text(role.get("name")): ((*_ROLES, index), role) for index, role in found if role.get("ensure") != "absent"}


def _members(manifest: Manifest, roles: _Roles) -> _Roles:
    """Roles that an oauth line lets in, by name or by a group that they are in, and the group itself."""
    if not roles:
        return {}
    lines = [placed.line for placed in read_cluster(manifest).force.written if placed.line.method == "oauth"]
    users = {token.text for line in lines for token in line.users}
    groups = {user[1:] for user in users if user.startswith("+")}
    return {
        name: role
        for name, role in roles.items()
        if name in users | groups or (role[1].get("login") is not False and groups & set(_reached(name, roles)))
    }


def _reached(name: str, roles: _Roles) -> list[str]:
    """The role, and all that it is a member of, as far as they are managed here."""
    reached = [name]
    for each in reached:
        _, role = roles.get(each, ((), {}))
        reached += dict.fromkeys(new for new in map(text, listing(role.get("inRoles"))) if new not in reached)
    return reached


def _power(name: str, roles: _Roles) -> str | None:
    """What makes it one to be kept; None if nothing does."""
    if name in roles:
        _, role = roles[name]
        has = [attribute for attribute in _ATTRIBUTES if role.get(attribute) is True]
        return f"{name[:63]}, which has {', '.join(has)}" if has else None
    try:
        given_role(name)
    except ValueError:
        return name[:63]
    return None
