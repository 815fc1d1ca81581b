"""Checks on what people's roles may do once they are in: whoever is a superuser in effect needs no token any more."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from pgbearer.cnpg.cluster import is_cluster, read_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.roles_of import MadeRole, is_database_role, reached, roles_of
from pgbearer.cnpg.sql_does import POWERS
from pgbearer.cnpg.stream import Manifest
from pgbearer.cnpg.taken import given_role
from pgbearer.hba.pattern import fits, is_pattern

__all__ = ["CHECKS"]

_WRITES: Final = "pg_write_all_data"
_About = Iterator[tuple[Manifest, Found]]
_Roles = Mapping[str, MadeRole]


def people_have_no_power(manifests: Sequence[Manifest]) -> _About:
    """What a role may be by SET ROLE counts as its own: it sets itself a password, or writes pg_hba.conf."""
    for cluster in filter(is_cluster, manifests):
        roles = roles_of(manifests, cluster)
        for name, role in _members(cluster, roles).items():
            for other in reached(name, roles):
                if said := _power(other, roles):
                    message = f"{name[:63]} is had by a token, and {'is' if other == name else 'may become'} {said}"
                    hint = "take it out: break-glass is a role of its own"
                    yield role.manifest, Found("role_powerful", role.path, message, hint)


def people_write_no_roles(manifests: Sequence[Manifest]) -> _About:
    """Who writes all data writes pg_group, a view over the pg_authid of roles that cannot log in (system_views.sql).

    So they change names and oids there: with the oid of a group of theirs, any such role is one that they are in.
    """
    for cluster in filter(is_cluster, manifests):
        roles = roles_of(manifests, cluster)
        kept = [name for name, role in roles.items() if role.no_login and role.powers]
        for name, role in _members(cluster, roles).items():
            way = reached(name, roles)
            for other in kept if _WRITES in way else ():
                if other not in way:
                    said = f"may, with {_WRITES}, make itself a member of {_power(other, roles)}"
                    hint = f"let {other[:63]} log in, by a line of its own, or grant rights on tables instead"
                    yield (
                        role.manifest,
                        Found("role_powerful", role.path, f"{name[:63]} is had by a token, and {said}", hint),
                    )


def people_come_with_tokens(manifests: Sequence[Manifest]) -> _About:
    """A certificate is no token: who has one comes in when the issuer has locked them out."""
    for cluster in filter(is_cluster, manifests):
        members = _members(cluster, roles_of(manifests, cluster))
        for placed in read_cluster(cluster).force.written if members else ():
            named = sorted({token.text for token in placed.line.users} & set(members))
            if placed.path is not None and placed.line.method == "cert" and named:
                message = f"cert lets in without a token {', '.join(named)[:200]}, whom an oauth line is for"
                yield cluster, Found("beside_oauth", placed.path, message, "name a role that nobody has by a token")


def break_glass_lies_in_no_secret(manifests: Sequence[Manifest]) -> _About:
    """The operator makes a certificate of the Cluster's authority, and keeps it in a Secret as long as the role is."""
    for each in filter(is_database_role, manifests):
        spec = at(each, ("spec",))
        asked = "clientCertificate" in spec and at(each, ("spec", "clientCertificate")).get("enabled") is not False
        powers = [power for power in POWERS if spec.get(power) is True]
        if asked and powers:
            message = (
                f"the certificate of a role that has {', '.join(powers)} lies in a Secret, for whoever reads those"
            )
            hint = "take it out: kubectl cnpg certificate makes one when it is needed"
            yield each, Found("role_certificate", ("spec", "clientCertificate"), message, hint)


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    people_have_no_power,
    people_write_no_roles,
    people_come_with_tokens,
    break_glass_lies_in_no_secret,
)


def _members(cluster: Manifest, roles: _Roles) -> _Roles:
    """Roles that an oauth line lets in, by name or by a group that they are in, and the group itself.

    With ``all``, or a regular expression of which only PostgreSQL can say whom it fits, all that can log in.
    """
    if not roles:
        return {}
    lines = [placed.line for placed in read_cluster(cluster).force.written if placed.line.method == "oauth"]
    tokens = {token for line in lines for token in line.users}
    users = {token.text for token in tokens}
    groups = {user[1:] for user in users if user.startswith("+")}
    everybody = any(token.is_keyword("all") for token in tokens)
    patterns = [user for user in users if is_pattern(user)]
    return {
        name: role
        for name, role in roles.items()
        if name in users | groups
        or (
            role.can_login
            and (
                everybody
                or any(fits(pattern, name) is not False for pattern in patterns)
                or not groups.isdisjoint(reached(name, roles))
            )
        )
    }


def _power(name: str, roles: _Roles) -> str | None:
    """What makes it one to be kept; None if nothing does."""
    if name in roles:
        has = roles[name].powers
        return f"{name[:63]}, which has {', '.join(dict.fromkeys(has))}" if has else None
    try:
        given_role(name)
    except ValueError:
        return name[:63]
    return None
