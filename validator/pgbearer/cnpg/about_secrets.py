"""Checks on keys that make somebody a Cluster or its service: who else mounts them, and who else has such made.

Whoever has the Cluster's certificate asks the service as that Cluster; whoever has the service's is sent tokens; and
whoever has an authority of either makes both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg.about_volumes import secrets_of
from pgbearer.cnpg.beside import beside, is_policy, settings_of
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import TEMPLATES, at, containers, labels_of_service, secret_in
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS", "account_of", "keys_of_all", "trusted_names"]

_About = Iterator[tuple[Manifest, Found]]
_CERT_MANAGER: Final = "cert-manager.io"
_EXTERNAL: Final = "external-secrets.io"
_FOR_PROGRAMS: Final = "app"
"""What ends the name of the Secret that the operator makes for programs: nobody is more by it than its line allows."""


def keys_are_mounted_by_their_own(manifests: Sequence[Manifest]) -> _About:
    """Of workloads beside a Cluster or the service, the service alone has keys of either."""
    authorities = {_authority(each) for each in _own(manifests)}
    owners = [(owner, keys) for owner in manifests if (keys := _keys(owner, authorities))]
    for workload in manifests:
        if workload.kind not in TEMPLATES or labels_of_service(workload) is not None:
            continue
        taken = {name: owner for owner, keys in owners if beside(owner, workload) for name in keys}
        for name in sorted(_mounted(workload) & taken.keys()):
            message = f"it gets the Secret {name[:100]}, by which it can be {taken[name].what[:100]}, or log in there"
            hint = "give it one of its own; of an authority's, mount no more than ca.crt (items)"
            yield workload, Found("secret_shared", TEMPLATES[workload.kind], message, hint)


def accounts_are_their_own(manifests: Sequence[Manifest]) -> _About:
    """The operator lets the instances' service account read the Cluster's Secrets, the authority's key among them."""
    for workload in filter(lambda each: each.kind in TEMPLATES, manifests):
        pod = at(workload, TEMPLATES[workload.kind])
        account = text(pod.get("serviceAccountName")) or text(pod.get("serviceAccount"))
        for cluster in filter(is_cluster, manifests):
            if account and beside(cluster, workload) and account == account_of(cluster):
                message = f"it runs as {account[:100]}, the account of {cluster.what[:100]}, which reads its Secrets"
                path = (*TEMPLATES[workload.kind], "serviceAccountName")
                yield workload, Found("secret_shared", path, message, "give it one of its own")


def certificates_are_of_their_own(manifests: Sequence[Manifest]) -> _About:
    """Another of the same authority with the same name is the same to whoever is shown it."""
    own = _own(manifests)
    authorities = {_authority(each) for each in own}
    names = {name for each in own for name in _names(each)} | _callers(manifests)
    hint = "take it out, or have an authority of its own for what others ask for"
    for other in filter(_is_certificate, manifests):
        if any(other is each for each in own) or _authority(other) not in authorities:
            continue
        if at(other, ("spec",)).get("isCA") is True:
            message = "it is an authority below that of the Cluster and its service, and so makes certificates of both"
            yield other, Found("certificate_other", ("spec", "isCA"), message, hint)
        elif taken := _names(other) & names:
            message = (
                f"another certificate for {', '.join(sorted(taken))[:200]}: whoever has it is the same to pgbearer"
            )
            yield other, Found("certificate_other", ("spec",), message, hint)


def authority_is_of_this_namespace(manifests: Sequence[Manifest]) -> _About:
    """Of a ClusterIssuer, whoever may make a Certificate in any namespace has one for the same name."""
    for certificate in _own(manifests):
        kind, name, _ = _authority(certificate)
        if kind == "ClusterIssuer":
            message = f"whoever may make a Certificate in any namespace has one of {name[:100]} for the same name"
            hint = "have an Issuer for this alone, as cnpg/components/certificates-cert-manager does"
            yield certificate, Found("certificate_other", ("spec", "issuerRef"), message, hint)


def stores_are_for_some_namespaces(manifests: Sequence[Manifest]) -> _About:
    """Of a ClusterSecretStore without conditions any namespace reads the same, by an ExternalSecret of its own."""
    stores = _stores(manifests)
    for each in manifests:
        name = text(each.metadata.get("name"))
        is_open = each.kind == "ClusterSecretStore" and not listing(at(each, ("spec",)).get("conditions"))
        if is_open and each.group == _EXTERNAL and name in stores:
            message = f"whoever may make an ExternalSecret in any namespace reads what {stores[name][:100]} is made of"
            hint = "say which may: spec.conditions: [{namespaces: [...]}]"
            yield each, Found("secret_shared", ("spec", "conditions"), message, hint)


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    keys_are_mounted_by_their_own,
    accounts_are_their_own,
    certificates_are_of_their_own,
    authority_is_of_this_namespace,
    stores_are_for_some_namespaces,
)


def account_of(cluster: Manifest) -> str:
    """The service account of a Cluster's instances (GetServiceAccountName of the operator's api/v1)."""
    return text(at(cluster, ("spec",)).get("serviceAccountName")) or text(cluster.metadata.get("name"))


def keys_of_all(near: Sequence[Manifest]) -> set[str]:
    """Secrets with a key of a Cluster, of a service or of an authority of either, of objects in one namespace."""
    authorities = {_authority(each) for each in _own(near)}
    return {name for owner in near for name in _keys(owner, authorities)}


def trusted_names(near: Sequence[Manifest]) -> set[str]:
    """Secrets and ConfigMaps that Clusters and services in one namespace go by: authorities among them."""
    volumes = [mapping(volume) for each in near for volume in _volumes(each)]
    sources = [
        mapping(one) for each in volumes for one in (each, *listing(mapping(each.get("projected")).get("sources")))
    ]
    parts = [mapping(source.get(kind)) for source in sources for kind in ("secret", "configMap")]
    return {text(part.get("name")) or text(part.get("secretName")) for part in parts} - {""}


def _volumes(owner: Manifest) -> Sequence[object]:
    """Of a Cluster what it has projected, of the service all; none of another object."""
    if is_cluster(owner):
        return [{"projected": at(owner, ("spec", "projectedVolumeTemplate"))}]
    return [] if labels_of_service(owner) is None else listing(at(owner, TEMPLATES[owner.kind]).get("volumes"))


def _stores(manifests: Sequence[Manifest]) -> dict[str, str]:
    """ClusterSecretStores that Secrets with keys come from, each with one of these."""
    authorities = {_authority(each) for each in _own(manifests)}
    owners = [(owner, keys) for owner in manifests if (keys := _keys(owner, authorities))]
    found: dict[str, str] = {}
    for brings in manifests:
        store = mapping(at(brings, ("spec",)).get("secretStoreRef"))
        wide = (brings.group, brings.kind, store.get("kind")) == (_EXTERNAL, "ExternalSecret", "ClusterSecretStore")
        made = text(at(brings, ("spec", "target")).get("name")) or text(brings.metadata.get("name"))
        if wide and any(made in keys and beside(owner, brings) for owner, keys in owners):
            found.setdefault(text(store.get("name")), made)
    return found


def _keys(owner: Manifest, authorities: set[tuple[str, str, str]]) -> set[str]:
    """Secrets with a key by which somebody is `owner`, or logs in to it; an Issuer's if it is one of `authorities`."""
    if is_cluster(owner):
        return secrets_of(owner) - {f"{text(owner.metadata.get('name'))}-{_FOR_PROGRAMS}"}
    if owner.group == _CERT_MANAGER and owner.kind == "Issuer":
        itself = (owner.kind, text(owner.metadata.get("name")), text(owner.metadata.get("namespace")))
        return {text(at(owner, ("spec", "ca")).get("secretName"))} - {""} if itself in authorities else set()
    return set() if labels_of_service(owner) is None else _mounted(owner)


def _mounted(workload: Manifest) -> set[str]:
    """Secrets of which its pods get more than the certificate of an authority."""
    pod = at(workload, TEMPLATES[workload.kind])
    found = set()
    for volume in map(mapping, listing(pod.get("volumes"))):
        sources = [mapping(source).get("secret") for source in listing(mapping(volume.get("projected")).get("sources"))]
        found |= {secret_in(source) for source in (volume.get("secret"), *sources)}
    for _, container in containers(pod):
        found |= {
            text(mapping(mapping(each).get("secretRef")).get("name")) for each in listing(container.get("envFrom"))
        }
        found |= {_secret_of(mapping(each)) for each in listing(container.get("env"))}
    return found - {""}


def _secret_of(variable: Mapping[str, Any]) -> str:
    reference = mapping(mapping(variable.get("valueFrom")).get("secretKeyRef"))
    return secret_in({"name": reference.get("name"), "items": [{"key": reference.get("key")}]})


def _is_certificate(manifest: Manifest) -> bool:
    return manifest.group == _CERT_MANAGER and manifest.kind == "Certificate"


def _own(manifests: Sequence[Manifest]) -> list[Manifest]:
    """The Certificates of what a Cluster's module, or the service, shows."""
    shown = {(text(each.metadata.get("namespace")), name) for each in manifests for name in _shown_by(each)}
    return [each for each in filter(_is_certificate, manifests) if _made(each) in shown]


def _made(certificate: Manifest) -> tuple[str, str]:
    """The namespace and the name of the Secret that it becomes."""
    return text(certificate.metadata.get("namespace")), text(at(certificate, ("spec",)).get("secretName"))


def _shown_by(owner: Manifest) -> set[str]:
    """Secrets of whose keys a Cluster's module, or the service, has one; among them what it shows."""
    if is_cluster(owner):
        sources = listing(at(owner, ("spec", "projectedVolumeTemplate")).get("sources"))
        return {secret_in(mapping(source).get("secret")) for source in sources}
    return set() if labels_of_service(owner) is None else _mounted(owner)


def _authority(certificate: Manifest) -> tuple[str, str, str]:
    """Kind, name and, unless it is for all of them, namespace of the issuer that it is asked of."""
    reference = mapping(at(certificate, ("spec",)).get("issuerRef"))
    kind = text(reference.get("kind")) or "Issuer"
    namespace = "" if kind == "ClusterIssuer" else text(certificate.metadata.get("namespace"))
    return kind, text(reference.get("name")), namespace


def _names(certificate: Manifest) -> set[str]:
    """What it is for, to a module or a service: by the URI alone, if it has one."""
    spec = at(certificate, ("spec",))
    return {text(name).lower() for name in listing(spec.get("uris")) or listing(spec.get("dnsNames"))} - {""}


def _callers(manifests: Sequence[Manifest]) -> set[str]:
    """Whom the policies know as servers."""
    read = [settings for settings in map(settings_of, filter(is_policy, manifests)) if settings is not None]
    servers = [server for settings in read for server in settings.servers.values()]
    return {server.certificate.lower() for server in servers if server.certificate is not None}
