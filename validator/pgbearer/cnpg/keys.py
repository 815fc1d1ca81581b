"""Whose keys are where: the Secrets of Clusters, of the service and of the authorities of either."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg.about_volumes import secrets_of
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.pods import TEMPLATES, at, containers, labels_of_service, secret_in
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["account_of", "authority_of", "is_certificate", "mounted", "own_certificates", "owners", "trusted_names"]

_CERT_MANAGER: Final = "cert-manager.io"
_FOR_PROGRAMS: Final = "app"
"""What ends the name of the Secret that the operator makes for programs: nobody is more by it than its line allows."""


def owners(manifests: Sequence[Manifest]) -> list[tuple[Manifest, set[str]]]:
    """Clusters, services and the authorities of either, each with its Secrets that have a key, if any."""
    authorities = {authority_of(each) for each in own_certificates(manifests)}
    return [(owner, keys) for owner in manifests if (keys := _keys(owner, authorities))]


def account_of(cluster: Manifest) -> str:
    """The service account of a Cluster's instances (GetServiceAccountName of the operator's api/v1)."""
    return text(at(cluster, ("spec",)).get("serviceAccountName")) or text(cluster.metadata.get("name"))


def trusted_names(near: Sequence[Manifest]) -> set[str]:
    """Secrets and ConfigMaps that Clusters and services in one namespace go by: authorities among them."""
    volumes = [mapping(volume) for each in near for volume in _volumes(each)]
    sources = [
        mapping(one) for each in volumes for one in (each, *listing(mapping(each.get("projected")).get("sources")))
    ]
    parts = [mapping(source.get(kind)) for source in sources for kind in ("secret", "configMap")]
    return {text(part.get("name")) or text(part.get("secretName")) for part in parts} - {""}


def mounted(workload: Manifest) -> set[str]:
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


def own_certificates(manifests: Sequence[Manifest]) -> list[Manifest]:
    """The Certificates of what a Cluster's module, or the service, shows."""
    shown = {(text(each.metadata.get("namespace")), name) for each in manifests for name in _shown_by(each)}
    return [each for each in filter(is_certificate, manifests) if _made(each) in shown]


def authority_of(certificate: Manifest) -> tuple[str, str, str]:
    """Kind, name and, unless it is for all of them, namespace of the issuer that it is asked of."""
    reference = mapping(at(certificate, ("spec",)).get("issuerRef"))
    kind = text(reference.get("kind")) or "Issuer"
    namespace = "" if kind == "ClusterIssuer" else text(certificate.metadata.get("namespace"))
    return kind, text(reference.get("name")), namespace


def is_certificate(manifest: Manifest) -> bool:
    """Whether it is a Certificate of cert-manager's."""
    return manifest.group == _CERT_MANAGER and manifest.kind == "Certificate"


def _keys(owner: Manifest, authorities: set[tuple[str, str, str]]) -> set[str]:
    """Secrets with a key by which somebody is `owner`, or logs in to it; an Issuer's if it is one of `authorities`."""
    if is_cluster(owner):
        return secrets_of(owner) - {f"{text(owner.metadata.get('name'))}-{_FOR_PROGRAMS}"}
    if owner.group == _CERT_MANAGER and owner.kind == "Issuer":
        itself = (owner.kind, text(owner.metadata.get("name")), text(owner.metadata.get("namespace")))
        return {text(at(owner, ("spec", "ca")).get("secretName"))} - {""} if itself in authorities else set()
    return set() if labels_of_service(owner) is None else mounted(owner)


def _made(certificate: Manifest) -> tuple[str, str]:
    """The namespace and the name of the Secret that it becomes."""
    return text(certificate.metadata.get("namespace")), text(at(certificate, ("spec",)).get("secretName"))


def _shown_by(owner: Manifest) -> set[str]:
    """Secrets of whose keys a Cluster's module, or the service, has one; among them what it shows."""
    if is_cluster(owner):
        sources = listing(at(owner, ("spec", "projectedVolumeTemplate")).get("sources"))
        return {secret_in(mapping(source).get("secret")) for source in sources}
    return set() if labels_of_service(owner) is None else mounted(owner)


def _volumes(owner: Manifest) -> Sequence[object]:
    """Of a Cluster what it has projected, of the service all; none of another object."""
    if is_cluster(owner):
        return [{"projected": at(owner, ("spec", "projectedVolumeTemplate"))}]
    return [] if labels_of_service(owner) is None else listing(at(owner, TEMPLATES[owner.kind]).get("volumes"))


def _secret_of(variable: Mapping[str, Any]) -> str:
    reference = mapping(mapping(variable.get("valueFrom")).get("secretKeyRef"))
    return secret_in({"name": reference.get("name"), "items": [{"key": reference.get("key")}]})
