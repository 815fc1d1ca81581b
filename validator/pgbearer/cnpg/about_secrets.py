"""Checks on keys that make somebody a Cluster or its service: who else mounts them, and who else has such made.

Whoever has the Cluster's certificate asks the service as that Cluster; whoever has the service's is sent tokens; and
whoever has an authority of either makes both.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pgbearer.cnpg.beside import beside, is_policy, settings_of
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.keys import account_of, authority_of, is_certificate, mounted, own_certificates, owners
from pgbearer.cnpg.pods import TEMPLATES, at, labels_of_service
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_EXTERNAL: Final = "external-secrets.io"


def keys_are_mounted_by_their_own(manifests: Sequence[Manifest]) -> _About:
    """Of workloads beside a Cluster or the service, the service alone has keys of either."""
    known = owners(manifests)
    for workload in manifests:
        if workload.kind not in TEMPLATES or labels_of_service(workload) is not None:
            continue
        taken = {name: owner for owner, keys in known if beside(owner, workload) for name in keys}
        for name in sorted(mounted(workload) & taken.keys()):
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
    own = own_certificates(manifests)
    authorities = {authority_of(each) for each in own}
    names = {name for each in own for name in _names(each)} | _callers(manifests)
    hint = "take it out, or have an authority of its own for what others ask for"
    for other in filter(is_certificate, manifests):
        if any(other is each for each in own) or authority_of(other) not in authorities:
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
    for certificate in own_certificates(manifests):
        kind, name, _ = authority_of(certificate)
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


def _stores(manifests: Sequence[Manifest]) -> dict[str, str]:
    """ClusterSecretStores that Secrets with keys come from, each with one of these."""
    known = owners(manifests)
    found: dict[str, str] = {}
    for brings in manifests:
        store = mapping(at(brings, ("spec",)).get("secretStoreRef"))
        wide = (brings.group, brings.kind, store.get("kind")) == (_EXTERNAL, "ExternalSecret", "ClusterSecretStore")
        made = text(at(brings, ("spec", "target")).get("name")) or text(brings.metadata.get("name"))
        if wide and any(made in keys and beside(owner, brings) for owner, keys in known):
            found.setdefault(text(store.get("name")), made)
    return found


def _names(certificate: Manifest) -> set[str]:
    """What it is for, to a module or a service: by the URI alone, if it has one."""
    spec = at(certificate, ("spec",))
    return {text(name).lower() for name in listing(spec.get("uris")) or listing(spec.get("dnsNames"))} - {""}


def _callers(manifests: Sequence[Manifest]) -> set[str]:
    """Whom the policies know as servers."""
    read = [settings for settings in map(settings_of, filter(is_policy, manifests)) if settings is not None]
    servers = [server for settings in read for server in settings.servers.values()]
    return {server.certificate.lower() for server in servers if server.certificate is not None}
