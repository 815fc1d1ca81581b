"""Checks on rights in Kubernetes by which somebody is in the database: to run programs in its pods, or read Secrets.

The primary's own user is its superuser (the operator's line ``local all all peer map=local``), and a Secret may hold a
password, a certificate or the authority that makes them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.about_volumes import secrets_of
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_GROUP: Final = "rbac.authorization.k8s.io"
_BUILT_IN: Final = frozenset({"cluster-admin", "admin", "edit"})
"""ClusterRoles that come with Kubernetes and may do both."""
_INTO_PODS: Final = ("pods/exec", "pods/attach", "pods/ephemeralcontainers")
_READS: Final = frozenset({"get", "list", "watch", "*"})
_RUNS: Final = frozenset({"create", "get", "update", "patch", "*"})


def nobody_has_the_right_to_be_in(manifests: Sequence[Manifest]) -> _About:
    """Of those who are bound where a Cluster is, but for the operator itself."""
    for binding in manifests:
        clusters = [each for each in manifests if is_cluster(each) and _holds_for(binding, each)]
        said = _says(manifests, binding, clusters) if clusters and not _is_the_operators(binding) else None
        if said:
            who = ", ".join(text(mapping(each).get("name")) for each in listing(binding.value.get("subjects")))
            message = f"{who[:100]} may {said}, and so is in {clusters[0].what[:100]} without a token"
            hint = "take it out, or give it to whoever may have break-glass alone"
            yield binding, Found("rights_open", ("roleRef",), message, hint)


def its_authority_certifies_for_it_alone(manifests: Sequence[Manifest]) -> _About:
    """Whoever may ask an Issuer for a Certificate names in it whom they are."""
    for issuer in manifests:
        if issuer.group != "cert-manager.io" or issuer.kind not in ("Issuer", "ClusterIssuer"):
            continue
        secret = text(at(issuer, ("spec", "ca")).get("secretName"))
        for cluster in filter(is_cluster, manifests):
            near = issuer.kind == "ClusterIssuer" or _namespace(issuer) == _namespace(cluster)
            own = text(at(cluster, ("spec", "certificates")).get("clientCASecret"))
            if near and secret and secret == (own or f"{text(cluster.metadata.get('name'))}-ca"):
                message = (
                    f"whoever may make a Certificate of it is streaming_replica of {cluster.what[:100]}, or anybody"
                )
                hint = "have an authority of its own for what others ask for"
                yield issuer, Found("client_authority", ("spec", "ca", "secretName"), message, hint)


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    nobody_has_the_right_to_be_in,
    its_authority_certifies_for_it_alone,
)


def _holds_for(binding: Manifest, cluster: Manifest) -> bool:
    if binding.group != _GROUP:
        return False
    here = binding.kind == "RoleBinding" and _namespace(binding) == _namespace(cluster)
    return here or binding.kind == "ClusterRoleBinding"


def _is_the_operators(binding: Manifest) -> bool:
    """Whoever has a service account in its namespace has all Clusters."""
    subjects = [mapping(each) for each in listing(binding.value.get("subjects"))]
    wanted = ("ServiceAccount", operator.NAMESPACE)
    return bool(subjects) and all((each.get("kind"), each.get("namespace")) == wanted for each in subjects)


def _says(manifests: Sequence[Manifest], binding: Manifest, clusters: Sequence[Manifest]) -> str | None:
    """What the role that is bound allows of what lets somebody in; None if that is nothing, or not known."""
    wanted = mapping(binding.value.get("roleRef"))
    kind, name = text(wanted.get("kind")), text(wanted.get("name"))
    if kind == "ClusterRole" and name in _BUILT_IN:
        return f"do what {name} may"
    secrets = {secret for cluster in clusters for secret in secrets_of(cluster)}
    for role in manifests:
        near = kind == "ClusterRole" or _namespace(role) == _namespace(binding)
        if (role.group, role.kind, role.metadata.get("name")) == (_GROUP, kind, name) and near:
            for rule in map(mapping, listing(role.value.get("rules"))):
                if said := _allows(rule, secrets):
                    return said
    return None


def _allows(rule: Mapping[str, Any], secrets: set[str]) -> str | None:
    verbs, resources = ({text(each) for each in listing(rule.get(key))} for key in ("verbs", "resources"))
    named = {text(each) for each in listing(rule.get("resourceNames"))}
    if not {"", "*"} & {text(each) for each in listing(rule.get("apiGroups"))}:
        return None
    if resources & {*_INTO_PODS, "pods/*", "*", "*/*"} and verbs & _RUNS:
        return "run programs in its pods"
    if resources & {"secrets", "*"} and verbs & _READS and (not named or named & secrets):
        return "read its Secrets"
    return None


def _namespace(manifest: Manifest) -> str:
    return text(manifest.metadata.get("namespace"))
