"""Checks on a policy and the Cluster beside it: issuers, audiences and roles that one names and the other does not."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.beside import beside, is_policy, settings_beside, settings_of
from pgbearer.cnpg.cluster import is_cluster, read_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.force import Placed
from pgbearer.cnpg.init_sql import init_sql
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.policy_text import KEY, line_issuer
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_AUDIENCE_SCOPE: Final = "db:"
"""What scopes begin with that add the audience of the same name, as in keycloak-realm/."""
_PATTERN: Final = frozenset("*?{")
"""A role with one of these is a glob or a template."""
_WORD: Final = re.compile(r"[\w-]+")


def issuers_are_known(manifests: Sequence[Manifest]) -> _About:
    """A line that names an issuer of which the policy knows nothing sends people there for tokens that are refused."""
    for cluster in filter(is_cluster, manifests):
        read = settings_beside(manifests, cluster)
        known = {line_issuer(issuer) for settings in read for issuer in settings.issuers.values()}
        for placed in _oauth(cluster):
            issuer = placed.line.options.get("issuer")
            if read and issuer and issuer not in known and placed.path is not None:
                message = f"the policy has no issuer {issuer[:200]!r}"
                hint = "write it in both alike, as the issuer itself does"
                yield cluster, Found("issuer_unknown", placed.path, message, hint)


def audiences_are_asked_for(manifests: Sequence[Manifest]) -> _About:
    """A scope ``db:NAME`` is there to add that audience. Without one the issuer may add the audience to every token."""
    for cluster in filter(is_cluster, manifests):
        issuers = [each for settings in settings_beside(manifests, cluster) for each in settings.issuers.values()]
        for placed in _oauth(cluster):
            asked = _audiences(placed.line.options.get("scope", "").split())
            named = placed.line.options.get("issuer")
            wanted = {issuer.audience for issuer in issuers if line_issuer(issuer) == named}
            if not asked or not wanted or wanted != _audiences(wanted) or wanted & asked or placed.path is None:
                continue
            message = f"asks for {_shown(asked)}, and the policy takes tokens for {_shown(wanted)} of that issuer"
            hint = "write the same as a scope of the line and as audience of the issuer"
            yield cluster, Found("audience_other", placed.path, message, hint)


def roles_are_made(manifests: Sequence[Manifest]) -> _About:
    """A rule gives a role that nobody makes. Where the operator makes none at all, all are made by SQL."""
    for policy in filter(is_policy, manifests):
        settings = settings_of(policy)
        clusters = [each for each in manifests if is_cluster(each) and beside(each, policy)]
        if settings is None or not clusters or len(settings.servers) > len(clusters):
            continue  # a server more than Clusters is one that is not given here, and so are its roles
        if not all(map(_managed, clusters)):
            continue
        known = {role for each in manifests if beside(each, policy) for role in _roles(each)}
        statements = [sql.text for cluster in clusters for sql in init_sql(manifests, cluster)]
        if None in statements:
            continue
        known |= {word for statement in statements for word in _WORD.findall(statement or "")}
        for index, rule in enumerate(settings.rules):
            unknown = {role for role in rule.roles if not _PATTERN & set(role)} - known
            if unknown and not rule.deny:
                message = f"rules[{index}].roles: {_shown(unknown)}: neither managed.roles nor a DatabaseRole makes it"
                hint = "add it to managed.roles; if you make it by SQL, nothing is wrong"
                yield policy, Found("role_unknown", ("data", KEY), message, hint)


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    issuers_are_known,
    audiences_are_asked_for,
    roles_are_made,
)


def _oauth(cluster: Manifest) -> Iterator[Placed]:
    return (placed for placed in read_cluster(cluster).force.written if placed.line.method == "oauth")


def _audiences(words: Sequence[str] | set[str]) -> set[str]:
    return {word for word in words if word.startswith(_AUDIENCE_SCOPE)}


def _managed(cluster: Manifest) -> Sequence[Any]:
    return listing(at(cluster, ("spec", "managed")).get("roles"))


def _roles(manifest: Manifest) -> Iterator[str]:
    """Those that an object makes; the owner of the first database is called as that is, ``app`` if nobody says more."""
    if manifest.group == operator.GROUP and manifest.kind == "DatabaseRole":
        yield text(at(manifest, ("spec",)).get("name"))
    elif is_cluster(manifest):
        for role in map(mapping, _managed(manifest)):
            if role.get("ensure") != "absent":
                yield text(role.get("name"))
        for how in map(mapping, at(manifest, ("spec", "bootstrap")).values() or [{}]):
            yield text(how.get("owner")) or text(how.get("database")) or "app"


def _shown(names: set[str]) -> str:
    return ", ".join(sorted(names))[:200]
