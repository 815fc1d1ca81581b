"""Who logs in to the Cluster of a spec: a group of the database for each issuer, and the rule for each role."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pgbearer.cnpg.issuers import issuers_of
from pgbearer.cnpg.spec import Identity, Role, Spec

__all__ = ["Access", "accesses"]

_CLUSTER: Final = "cluster"
_PROD: Final = "prod"
_PARTNER: Final = "partner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Those who come from one issuer, by one line of pg_hba."""

    group: str
    """Whose members the line is for."""
    comment: str
    issuer: str
    scope: str
    database: str
    """In the line."""
    roles: Sequence[Identity]
    rules: Sequence[Mapping[str, Any]]

    @property
    def line(self) -> str:
        """Of pg_hba."""
        options = f'issuer="{self.issuer}" scope="{self.scope}" delegate_ident_mapping=1 validator=pgbearer'
        return f"hostssl {self.database} +{self.group} all oauth {options}"


def accesses(spec: Spec) -> list[Access]:
    """All of them, people first."""
    return [*_of_people(spec), *_of_pods(spec), *_of_spire(spec)]


def _of_people(spec: Spec) -> Iterator[Access]:
    first, *_ = issuers = issuers_of(spec)
    for each in issuers:
        roles = [role for role in spec.roles if role.issuer == each.said]
        usual = {} if each.kind.session == first.kind.session else {"session": dict(each.kind.session)}
        asked = f"any_{each.goes_by.removesuffix('s')}"
        yield Access(
            group="pgbearer_people" if each.said is None else f"pgbearer_{each.name}",
            comment="whose members log in with a token",
            issuer=each.address,
            scope=each.scope,
            database="all",
            roles=roles,
            rules=[_rule(spec, role, each.name, **{asked: _given_by(role)}, **usual) for role in roles],
        )


def _given_by(role: Role) -> list[str]:
    return list(role.given_by) or [role.name]


def _of_pods(spec: Spec) -> Iterator[Access]:
    if spec.workloads is None:
        return
    rules = []
    for role in spec.workloads.roles:
        namespace, _, name = role.service_account.partition("/")
        when = f'claims.namespace == "{namespace}" && claims.service_account == "{name}"'
        rules.append(_rule(spec, role, _CLUSTER, when=when))
    yield _of_workloads(spec, "service accounts", spec.workloads.issuer, spec.workloads.roles, rules, "are")


def _of_spire(spec: Spec) -> Iterator[Access]:
    if spec.spire is None:
        return
    pairs = [(_PROD, role) for role in spec.spire.roles]
    pairs += [(_PARTNER, role) for role in (spec.spire.federated.roles if spec.spire.federated else ())]
    rules = [_rule(spec, role, issuer, when=f'claims.path == "{role.path}"') for issuer, role in pairs]
    roles = [role for _, role in pairs]
    yield _of_workloads(spec, "SPIFFE IDs", spec.spire.jwt_issuer, roles, rules, "have")


def _of_workloads(
    spec: Spec, what: str, issuer: str, roles: Sequence[Identity], rules: Sequence[Mapping[str, Any]], verb: str
) -> Access:
    """Their tokens have no scope to ask for."""
    return Access(
        group="pgbearer_workloads",
        comment=f"whose members {verb} {what}",
        issuer=issuer,
        scope="",
        database=spec.database,
        roles=roles,
        rules=rules,
    )


def _rule(spec: Spec, role: Identity, issuer: str, **more: Any) -> Mapping[str, Any]:
    """Of the policy; if there is one issuer alone, it need not be said, nor a session that all have."""
    alone = not (spec.other_issuers or spec.workloads or spec.spire)
    said = {} if alone else {"issuers": [issuer]}
    means: dict[str, Any] = {"privileged": True} if _is_privileged(role.name, spec) else {}
    if role.session is not None:
        means["session"] = {"until": "fixed", "max": role.session}
    return {"name": role.name, **said, **more, "databases": [spec.database], "roles": [role.name], **means}


def _is_privileged(name: str, spec: Spec) -> bool:
    """Whether it is a member of a role of PostgreSQL's own: the service gives none that is unless its rule says so."""
    roles: list[Identity] = [*spec.roles]
    if spec.workloads:
        roles += spec.workloads.roles
    if spec.spire:
        roles += [*spec.spire.roles, *(spec.spire.federated.roles if spec.spire.federated else ())]
    inherits = {role.name: role.inherits for role in roles}
    reached = [name]
    for each in reached:  # grows as it goes
        reached += [further for further in inherits.get(each, ()) if further not in reached]
    return any(each.startswith("pg_") for each in reached)
