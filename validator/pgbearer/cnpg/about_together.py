"""Checks on objects beside each other: what one has need of that no other brings, and what comes twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.beside import beside, is_policy
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.linkerd import opened
from pgbearer.cnpg.pods import at, labels_of_service
from pgbearer.cnpg.reach import lets_everybody_in, mesh_selector
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_CATALOGS: Final = ("ImageCatalog", "ClusterImageCatalog")


def networks_are_closed(manifests: Sequence[Manifest]) -> _About:
    """Where the service is given too, so is who may reach it, or everybody in the Kubernetes cluster may."""
    served = [each for each in manifests if labels_of_service(each) is not None]
    if not served and not any(map(is_policy, manifests)):
        return
    for each in manifests:
        labels = _labels_of_instances(each) if is_cluster(each) else labels_of_service(each)
        if labels is None:
            continue
        policies = [policy for policy in manifests if _selects(policy, each, labels)]
        if policies and not any(map(lets_everybody_in, policies)):  # they add up (networking/v1, NetworkPolicySpec)
            continue
        what = "the Cluster's pods" if is_cluster(each) else "the service"
        message = f"no NetworkPolicy says who may reach {what}, so every pod may"
        hint = "write one with policyTypes: [Ingress]; cnpg/base has them"
        yield each, Found("network_open", ("metadata", "name"), message, hint)


def others_open_nothing(manifests: Sequence[Manifest]) -> _About:
    """Policies of a mesh or of Cilium add to what is let in: the widest counts."""
    others = ((policy, mesh_selector(policy)) for policy in filter(lets_everybody_in, manifests))
    for policy, wanted in (*others, *opened(manifests)):
        for each in manifests if wanted is not None else ():
            labels = _labels_of_instances(each) if is_cluster(each) else labels_of_service(each)
            near = policy.kind == "CiliumClusterwideNetworkPolicy" or beside(policy, each)
            if labels is not None and near and wanted is not None and wanted.items() <= labels.items():
                message = f"it lets everybody reach {each.what[:100]}"
                yield policy, Found("network_open", ("spec",), message, "name who may come, for each port")
                break


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


def nothing_is_replaced(manifests: Sequence[Manifest]) -> _About:
    """Of two objects that are one to Kubernetes, the last that is applied is left: as with two Clusters' services."""
    first: dict[tuple[str, str, str, str], Manifest] = {}
    for each in manifests:
        name, namespace = text(each.metadata.get("name")), text(each.metadata.get("namespace"))
        if not each.kind or not name:
            continue
        before = first.setdefault((each.group, each.kind, namespace, name), each)
        if before.value != each.value:
            message = f"another of that name is in document {before.number} of {before.file}, and this takes its place"
            hint = "give each Cluster a namespace of its own, or both one service, with both under servers"
            yield each, Found("object_twice", ("metadata", "name"), message, hint)


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    networks_are_closed,
    others_open_nothing,
    catalogs_have_it,
    nothing_is_replaced,
)


def _is_catalog(manifest: Manifest, cluster: Manifest, asked: Mapping[str, Any]) -> bool:
    named = (manifest.kind, manifest.metadata.get("name")) == (asked.get("kind"), asked.get("name"))
    near = manifest.kind == "ClusterImageCatalog" or beside(manifest, cluster)
    return manifest.group == operator.GROUP and manifest.kind in _CATALOGS and named and near


def _labels_of_instances(cluster: Manifest) -> Mapping[str, Any]:
    """Of its pods and jobs, as far as the Cluster decides it."""
    inherited = mapping(at(cluster, ("spec", "inheritedMetadata")).get("labels"))
    return {**inherited, "cnpg.io/cluster": text(cluster.metadata.get("name"))}


def _selects(policy: Manifest, other: Manifest, labels: Mapping[str, Any]) -> bool:
    """Whether a NetworkPolicy closes those pods; expressions are taken to fit, for what is not known is not guessed."""
    if policy.kind != "NetworkPolicy" or not beside(policy, other):
        return False
    spec = at(policy, ("spec",))
    types = listing(spec.get("policyTypes")) or ["Ingress"]
    wanted = mapping(mapping(spec.get("podSelector")).get("matchLabels"))
    return "Ingress" in types and all(labels.get(name) == value for name, value in wanted.items())
