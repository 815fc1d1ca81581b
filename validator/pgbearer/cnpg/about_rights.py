"""Checks on rights in Kubernetes by which somebody is in the database: to run programs in its pods, or read Secrets.

The primary's own user is its superuser (the operator's line ``local all all peer map=local``), and a Secret may hold a
password, a certificate or the authority that makes them. To write one is as good: whoever puts an authority of their
own in the place of the Cluster's makes the certificates that it takes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.about_volumes import secrets_of
from pgbearer.cnpg.beside import beside, is_policy
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.keys import account_of, owners, trusted_names
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_Known = tuple[set[str], set[str]]
"""Names in a namespace: of Secrets with keys, and of all that Clusters and services go by."""
_GROUP: Final = "rbac.authorization.k8s.io"
_BUILT_IN: Final = frozenset({"cluster-admin", "admin", "edit"})
"""ClusterRoles that come with Kubernetes and may do both."""
_CHANGES: Final = frozenset({"create", "update", "patch"})
_RUNS: Final = _CHANGES | {"get"}  # a websocket is opened by GET
_READS: Final = frozenset({"get", "list", "watch"})
_WORKLOADS: Final = frozenset({"daemonsets", "deployments", "replicasets", "statefulsets", "jobs", "cronjobs"})
_ANYBODY: Final = frozenset({"users", "groups", "serviceaccounts"})
_CATALOGS: Final = frozenset({"imagecatalogs", "clusterimagecatalogs"})
_REQUESTS: Final = frozenset({"certificates", "certificaterequests"})
"""Of cert-manager; who asks by the second has the key already, and need read no Secret."""
_CORE: Final = frozenset({""})
_POWERS: Final[tuple[tuple[frozenset[str], frozenset[str], frozenset[str], str], ...]] = (
    (
        _CORE,
        frozenset(f"{of}/{to}" for of in ("pods", "*") for to in ("exec", "attach", "ephemeralcontainers", "*")),
        _RUNS,
        "run programs in its pods",
    ),
    (_CORE, frozenset({"nodes/proxy", "nodes/*"}), _RUNS, "run programs in its pods"),  # a kubelet asks nobody else
    (_CORE, frozenset({"secrets"}), _READS, "read its Secrets"),
    (_CORE, frozenset({"secrets"}), frozenset({"update", "patch"}), "write its Secrets"),
    (frozenset({"external-secrets.io"}), frozenset({"externalsecrets"}), _CHANGES, "write its Secrets"),
    (frozenset({"external-secrets.io"}), frozenset({"pushsecrets"}), _CHANGES, "read its Secrets"),
    (_CORE, frozenset({"pods"}), frozenset({"create"}), "make pods that mount its Secrets"),
    (_CORE, frozenset({"pods"}), frozenset({"update", "patch"}), "change the images of its pods"),  # as they run
    (_CORE, frozenset({"replicationcontrollers"}), _CHANGES, "make pods that mount its Secrets"),
    (frozenset({"apps", "batch"}), _WORKLOADS, _CHANGES, "make pods that mount its Secrets"),
    (_CORE, frozenset({"configmaps"}), frozenset({"update", "patch"}), "change the policy"),
    (_CORE, frozenset({"serviceaccounts/token"}), frozenset({"create"}), "be any service account beside it"),
    (_CORE, _ANYBODY, frozenset({"impersonate"}), "be whoever may do any of that"),
    (frozenset({operator.GROUP}), frozenset({"clusters"}), _CHANGES, "change the Cluster"),
    (frozenset({operator.GROUP}), frozenset({"databaseroles"}), _CHANGES, "make its roles superusers"),
    (frozenset({operator.GROUP}), frozenset({"poolers"}), _CHANGES, "make pods that mount its Secrets"),
    (frozenset({operator.GROUP}), _CATALOGS, _CHANGES, "change the images of its pods"),
    (frozenset({"cert-manager.io"}), _REQUESTS, _CHANGES, "have certificates made"),
    (frozenset({_GROUP}), frozenset({"roles", "clusterroles"}), frozenset({"bind", "escalate"}), "take any right"),
)
"""Groups, resources and verbs of a rule, any of each, and what they come to."""


_OF_RULE: Final = ("apiGroups", "resources", "verbs")
_NAMED: Final = frozenset({"secrets", "configmaps", "clusters"})


def nobody_has_the_right_to_be_in(manifests: Sequence[Manifest]) -> _About:
    """Of those who are bound where a Cluster is, but for the operator itself."""
    known = {_namespace(each): _known_beside(manifests, each) for each in filter(is_cluster, manifests)}
    for binding in manifests:
        clusters = [each for each in manifests if is_cluster(each) and _holds_for(binding, each)]
        judged = bool(clusters) and not _is_the_operators(binding, clusters)
        said = _says(manifests, binding, clusters, known) if judged else None
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


def _is_the_operators(binding: Manifest, clusters: Sequence[Manifest]) -> bool:
    """Whoever has a service account in its namespace has all Clusters; an instance's own has its Cluster."""
    own = {("ServiceAccount", _namespace(each), account_of(each)) for each in clusters}
    subjects = [mapping(each) for each in listing(binding.value.get("subjects"))]
    return bool(subjects) and all(
        (each.get("kind"), each.get("namespace")) == ("ServiceAccount", operator.NAMESPACE)
        or (each.get("kind"), each.get("namespace"), each.get("name")) in own
        for each in subjects
    )


def _known_beside(manifests: Sequence[Manifest], cluster: Manifest) -> _Known:
    near = [each for each in manifests if beside(each, cluster)]
    keys = {secret for each in near for secret in secrets_of(each)}  # the one for programs too: it has a password
    keys |= {secret for _, its in owners(near) for secret in its}
    named = {text(each.metadata.get("name")) for each in near if is_cluster(each) or is_policy(each)}
    return keys, keys | named | trusted_names(near)


def _says(
    manifests: Sequence[Manifest], binding: Manifest, clusters: Sequence[Manifest], known: Mapping[str, _Known]
) -> str | None:
    """What the role that is bound allows of what lets somebody in; None if that is nothing, or not known."""
    wanted = mapping(binding.value.get("roleRef"))
    kind, name = text(wanted.get("kind")), text(wanted.get("name"))
    if kind == "ClusterRole" and name in _BUILT_IN:
        return f"do what {name} may"
    if kind == "Role" and any(name == cluster.metadata.get("name") for cluster in clusters):
        return "read its Secrets"  # the operator makes a Role of that name for the instances (pkg/specs/roles.go)
    beside_them = [known[_namespace(each)] for each in clusters]
    keys, trusted = ({name for each in beside_them for name in each[index]} for index in (0, 1))
    for role in manifests:
        near = kind == "ClusterRole" or _namespace(role) == _namespace(binding)
        if (role.group, role.kind, role.metadata.get("name")) == (_GROUP, kind, name) and near:
            for rule in _rules(manifests, role):
                if said := _allows(rule, keys, trusted):
                    return said
    return None


def _rules(manifests: Sequence[Manifest], role: Manifest) -> Iterator[Mapping[str, Any]]:
    """Its own, and those of the ClusterRoles that it is put together of, of which its own are a copy."""
    yield from map(mapping, listing(role.value.get("rules")))
    for selector in map(mapping, listing(mapping(role.value.get("aggregationRule")).get("clusterRoleSelectors"))):
        wanted = mapping(selector.get("matchLabels"))
        for each in manifests:
            fits = wanted.items() <= mapping(each.metadata.get("labels")).items()
            if fits and (each.group, each.kind) == (_GROUP, "ClusterRole"):
                yield from map(mapping, listing(each.value.get("rules")))


def _allows(rule: Mapping[str, Any], keys: set[str], trusted: set[str]) -> str | None:
    """What of `_POWERS`; of a rule with names those count by which somebody has a key, or changes what is gone by."""
    groups, resources, verbs = ({text(each) for each in listing(rule.get(key))} for key in _OF_RULE)
    named = {text(each) for each in listing(rule.get("resourceNames"))}
    for of, what, how, said in _POWERS:
        fits = resources & {"*", "*/*", *what} and verbs & {"*", *how} and groups & {"*", *of}
        if fits and not (named and what <= _NAMED and not named & (keys if how is _READS else trusted)):
            return said
    return None


def _namespace(manifest: Manifest) -> str:
    return text(manifest.metadata.get("namespace"))
