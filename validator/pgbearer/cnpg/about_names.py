"""Checks on names that must be alike: of the service, where it is asked, and in the certificates of both sides."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.about_settings import NETWORK
from pgbearer.cnpg.beside import beside, settings_beside
from pgbearer.cnpg.cluster import is_cluster, read_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.keys import is_certificate
from pgbearer.cnpg.pods import TEMPLATES, at, containers, labels_of_service, serves
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_CERTIFICATE_KEY: Final = "tls.crt"
"""Of a Secret of type kubernetes.io/tls."""
_TEMPLATE: Final[KeyPath] = ("spec", "projectedVolumeTemplate")
_PATCH: Final[KeyPath] = ("metadata", "annotations", operator.POD_PATCH)


def servers_are_known(manifests: Sequence[Manifest]) -> _About:
    """A Cluster whose certificate is of no server of the policy is refused whatever it asks."""
    for cluster in filter(is_cluster, manifests):
        servers = [each for settings in settings_beside(manifests, cluster) for each in settings.servers.values()]
        known = {server.certificate for server in servers if server.certificate is not None}
        shown = _names(manifests, cluster, listing(at(cluster, _TEMPLATE).get("sources")))
        if known and shown and not known & shown and any(_network(cluster)):
            message = f"the certificate is for {_listed(shown)}, and the policy knows {_listed(known)}"
            hint = "write the same in dnsNames (or uris) of the Certificate and as servers.NAME.certificate"
            yield cluster, Found("server_unknown", _TEMPLATE, message, hint)


def sockets_are_served(manifests: Sequence[Manifest]) -> _About:
    """The policy that comes with a service in pods of its own makes a sidecar listen where the module does not ask."""
    for cluster in filter(is_cluster, manifests):
        read = settings_beside(manifests, cluster)
        servers = [server for settings in read for server in settings.servers.values()]
        certified = bool(servers) and all(
            server.certificate is not None for server in servers
        )  # who has none asks here
        if certified and read_cluster(cluster).force.endpoint_beside and not any(_network(cluster)):
            message = "the module asks at a socket beside it, and no server of the policy has one"
            hint = "write servers: {NAME: {socket: ...}}, as cnpg/components/sidecar/policy has it"
            yield cluster, Found("socket_unknown", _PATCH, message, hint)


def service_has_the_name(manifests: Sequence[Manifest]) -> _About:
    """The module compares the name exactly, without wildcards, and takes a certificate with a URI by that alone."""
    for cluster in filter(is_cluster, manifests):
        for path, endpoint in _network(cluster):
            wanted = endpoint["hostname"] or endpoint["spiffe"]
            there = _address(endpoint["host"])
            shown = {
                name
                for pods in manifests
                if there and _namespace(pods) == there[1]
                for name in _served(manifests, pods)
            }
            if shown and wanted.lower() not in {name.lower() for name in shown}:
                message = f"{wanted[:200]} is asked for, and the service's certificate is for {_listed(shown)}"
                hint = "write the same in pgbearer.endpoints and in dnsNames (for spiffe=, uris) of the Certificate"
                yield cluster, Found("endpoint_name", path, message, hint)


def service_is_where_it_is_asked(manifests: Sequence[Manifest]) -> _About:
    """A kustomization's ``namespace:`` moves the Service, and not the names that are within settings."""
    for cluster in filter(is_cluster, manifests):
        for path, endpoint in _network(cluster):
            name, namespace = _address(endpoint["host"]) or ("", "")
            services = [each for each in manifests if each.kind == "Service" and not each.group]
            homes = {_namespace(each) for each in services if each.metadata.get("name") == name}
            if homes and "" not in homes and namespace not in homes:
                message = f"asks the Service {name} of the namespace {namespace}, which is in {_listed(homes)}"
                hint = f"write {name}.{min(homes)[:63]}.svc, and make certificates for that name"
                yield cluster, Found("endpoint_namespace", path, message, hint)


def service_is_among_what_is_given(manifests: Sequence[Manifest]) -> _About:
    """Where the service's pods are given, so is its Service, or its name leads nowhere; else it is not known."""
    for cluster in filter(is_cluster, manifests):
        for path, endpoint in _network(cluster):
            name, namespace = _address(endpoint["host"]) or ("", "")
            near = [each for each in manifests if name and _namespace(each) in ("", namespace)]
            pods = [labels for each in near if (labels := labels_of_service(each)) is not None]
            services = [each for each in manifests if each.kind == "Service" and not each.group]
            named = [each for each in services if each.metadata.get("name") == name]
            if not pods or any(_leads_to(each, pods) for each in named if each in near):
                continue
            if named and not any(each in near for each in named):
                continue  # `service_is_where_it_is_asked` tells of it
            said = "selects none of the service's pods" if named else "is not among what was given, and its pods are"
            message = f"asks the Service {name[:63]} of the namespace {namespace[:63]}, which {said}"
            hint = "name the Service of those pods; if it is made elsewhere, give that too"
            yield cluster, Found("endpoint_service", path, message, hint)


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (
    servers_are_known,
    sockets_are_served,
    service_has_the_name,
    service_is_where_it_is_asked,
    service_is_among_what_is_given,
)


def _leads_to(service: Manifest, pods: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it selects some of these; one without a selector leads to what somebody else writes."""
    wanted = mapping(at(service, ("spec",)).get("selector"))
    return not wanted or any(wanted.items() <= labels.items() for labels in pods)


def _network(cluster: Manifest) -> Iterator[tuple[KeyPath, Mapping[str, str]]]:
    """The endpoints that are asked over the network, taken apart; wrong ones are told of elsewhere."""
    force = read_cluster(cluster).force
    for part in force.parameters.get("pgbearer.endpoints", "").split(","):
        if found := NETWORK.fullmatch(part.strip()):
            yield (*force.parameters_path, "pgbearer.endpoints"), found.groupdict(default="")


def _address(host: str) -> tuple[str, str] | None:
    """Name and namespace of a Service: ``NAME.NAMESPACE.svc``, whatever Kubernetes calls its own domain."""
    name, _, rest = host.lower().partition(".")
    namespace, _, rest = rest.partition(".")
    return (name, namespace) if rest.partition(".")[0] == "svc" else None


def _served(manifests: Sequence[Manifest], pods: Manifest) -> set[str]:
    """What the certificate of our service in these pods is for; empty if that is not known."""
    pod = at(pods, TEMPLATES.get(pods.kind, ()))
    if pods.kind not in TEMPLATES or not any(serves(each) for _, each in containers(pod)):
        return set()
    sources = [
        source
        for volume in map(mapping, listing(pod.get("volumes")))
        for source in (volume, *listing(mapping(volume.get("projected")).get("sources")))
    ]
    return _names(manifests, pods, sources)


def _names(manifests: Sequence[Manifest], one: Manifest, sources: Sequence[Any]) -> set[str]:
    """What those of cert-manager's Certificates are for whose Secrets these sources of volumes mount."""
    mounted = {_secret(mapping(mapping(source).get("secret"))) for source in sources} - {""}
    names: set[str] = set()
    for each in manifests:
        spec = at(each, ("spec",))
        if is_certificate(each) and beside(each, one) and text(spec.get("secretName")) in mounted:
            names.update(text(name) for name in listing(spec.get("uris")) or listing(spec.get("dnsNames")))
    return names - {""}


def _secret(source: Mapping[str, Any]) -> str:
    """Its name (a projection's, or a volume's), if what is mounted has the certificate in it; empty if not."""
    items = [mapping(item).get("key") for item in listing(source.get("items"))]
    return text(source.get("name")) or text(source.get("secretName")) if not items or _CERTIFICATE_KEY in items else ""


def _namespace(manifest: Manifest) -> str:
    return text(manifest.metadata.get("namespace"))


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))[:200]
