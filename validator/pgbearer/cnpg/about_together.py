"""Checks on objects beside each other: what one says that another does not know of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.cluster import is_cluster, read_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import TEMPLATES, at, containers, serves
from pgbearer.cnpg.policy_text import KEY, line_issuers, read_policy
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_CATALOGS: Final = ("ImageCatalog", "ClusterImageCatalog")


def issuers_are_known(manifests: Sequence[Manifest]) -> _About:
    """A line that names an issuer of which the policy knows nothing sends people there for tokens that are refused."""
    for cluster in filter(is_cluster, manifests):
        policies = [each for each in manifests if _is_policy(each) and _beside(each, cluster)]
        read = [read_policy(text(mapping(each.value.get("data")).get(KEY))) for each in policies]
        if not read or None in read:
            continue
        known = {issuer for settings in read if settings is not None for issuer in line_issuers(settings)}
        for placed in read_cluster(cluster).force.written:
            issuer = placed.line.options.get("issuer")
            if placed.line.method == "oauth" and issuer and issuer not in known and placed.path is not None:
                message = f"the policy has no issuer {issuer[:200]!r}"
                hint = "write it in both alike, as the issuer itself does"
                yield cluster, Found("issuer_unknown", placed.path, message, hint)


def networks_are_closed(manifests: Sequence[Manifest]) -> _About:
    """Where the service is given too, so is who may reach it, or everybody in the Kubernetes cluster may."""
    served = [each for each in manifests if _labels_of_service(each) is not None]
    if not served and not any(map(_is_policy, manifests)):
        return
    for each in manifests:
        labels = {"cnpg.io/cluster": text(each.metadata.get("name"))} if is_cluster(each) else _labels_of_service(each)
        if labels is None or any(_selects(policy, each, labels) for policy in manifests):
            continue
        what = "the Cluster's pods" if is_cluster(each) else "the service"
        message = f"no NetworkPolicy says who may reach {what}, so every pod may"
        hint = "write one with policyTypes: [Ingress]; cnpg/base has them"
        yield each, Found("network_open", ("metadata", "name"), message, hint)


def catalogs_have_it(manifests: Sequence[Manifest]) -> _About:
    """The operator waits for a version that its catalog does not have."""
    for cluster in filter(is_cluster, manifests):
        asked = mapping(at(cluster, ("spec",)).get("imageCatalogRef"))
        catalog = next((each for each in manifests if _is_catalog(each, cluster, asked)), None)
        if catalog is None:
            continue
        images = [mapping(each) for each in listing(at(catalog, ("spec",)).get("images"))]
        if asked.get("major") not in [each.get("major") for each in images]:
            message = f"{catalog.what} has no image of PostgreSQL {str(asked.get('major'))[:20]}"
            found = Found("catalog_missing", ("spec", "imageCatalogRef", "major"), message, "add it to the catalog")
            yield cluster, found


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    issuers_are_known,
    networks_are_closed,
    catalogs_have_it,
)


def _is_policy(manifest: Manifest) -> bool:
    return manifest.kind == "ConfigMap" and KEY in mapping(manifest.value.get("data"))


def _is_catalog(manifest: Manifest, cluster: Manifest, asked: Mapping[str, Any]) -> bool:
    named = (manifest.kind, manifest.metadata.get("name")) == (asked.get("kind"), asked.get("name"))
    near = manifest.kind == "ClusterImageCatalog" or _beside(manifest, cluster)
    return manifest.group == operator.GROUP and manifest.kind in _CATALOGS and named and near


def _beside(one: Manifest, other: Manifest) -> bool:
    return one.metadata.get("namespace") == other.metadata.get("namespace")


def _labels_of_service(manifest: Manifest) -> Mapping[str, Any] | None:
    """Of its pods, if it is our service in pods of its own; None if not."""
    path = TEMPLATES.get(manifest.kind)
    if path is None or not any(
        place[0] == "containers" and serves(each) for place, each in containers(at(manifest, path))
    ):
        return None
    return mapping(at(manifest, (*path[:-1], "metadata")).get("labels"))


def _selects(policy: Manifest, other: Manifest, labels: Mapping[str, Any]) -> bool:
    """Whether a NetworkPolicy closes those pods; expressions are taken to fit, for what is not known is not guessed."""
    if policy.kind != "NetworkPolicy" or not _beside(policy, other):
        return False
    spec = at(policy, ("spec",))
    types = listing(spec.get("policyTypes")) or ["Ingress"]
    wanted = mapping(mapping(spec.get("podSelector")).get("matchLabels"))
    return "Ingress" in types and all(labels.get(name) == value for name, value in wanted.items())
