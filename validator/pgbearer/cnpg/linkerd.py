"""Which of Linkerd's policies let everybody in, or everybody who is in the mesh, and to which pods."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg.beside import beside
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.reach import MEASURED, WHOLE
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["opened"]

_GROUP: Final = "policy.linkerd.io"
_OPEN: Final = frozenset(
    {"all-unauthenticated", "all-authenticated", "cluster-authenticated", "cluster-unauthenticated"}
)
"""Of a Server, ``accessPolicy``: what holds for whom no policy is for."""


def opened(manifests: Sequence[Manifest]) -> Iterator[tuple[Manifest, Mapping[str, Any]]]:
    """Each that does, with the labels of the pods that it opens; without its Server nothing is known of one."""
    for policy in (each for each in manifests if each.group == _GROUP):
        match policy.kind:
            case "Server" if at(policy, ("spec",)).get("accessPolicy") in _OPEN:
                yield from ((policy, labels) for labels in _pods([policy]))
            case "ServerAuthorization" if _is_open(at(policy, ("spec", "client"))):
                yield from ((policy, labels) for labels in _pods(_selected(manifests, policy)))
            case "AuthorizationPolicy" if _needs_nobody(manifests, policy):
                yield from ((policy, labels) for labels in _targets(manifests, policy))


def _needs_nobody(manifests: Sequence[Manifest], policy: Manifest) -> bool:
    """All that are listed must hold, so with none listed it is everybody (inbound/authorization_policy.rs)."""
    references = [mapping(each) for each in listing(at(policy, ("spec",)).get("requiredAuthenticationRefs"))]
    return all(_is_everybody(manifests, policy, each) for each in references)


def _is_everybody(manifests: Sequence[Manifest], policy: Manifest, reference: Mapping[str, Any]) -> bool:
    namespace = reference.get("namespace", policy.metadata.get("namespace"))
    wanted = (_GROUP, reference.get("kind"), reference.get("name"), namespace)
    for each in manifests:
        if (each.group, each.kind, each.metadata.get("name"), each.metadata.get("namespace")) == wanted:
            spec = at(each, ("spec",))
            return "*" in listing(spec.get("identities")) or _is_everywhere(spec.get("networks"))
    return False


def _is_open(client: Mapping[str, Any]) -> bool:
    """A ServerAuthorization's (client_authz of inbound/server_authorization.rs); without networks it is all of them."""
    tls = mapping(client.get("meshTLS"))
    anybody = client.get("unauthenticated") is True or tls.get("unauthenticatedTLS") is True
    networks = client.get("networks")
    return (anybody or "*" in listing(tls.get("identities"))) and (not listing(networks) or _is_everywhere(networks))


def _is_everywhere(networks: object) -> bool:
    return any(text(mapping(each).get("cidr")).endswith(WHOLE) for each in listing(networks))


def _targets(manifests: Sequence[Manifest], policy: Manifest) -> Iterator[Mapping[str, Any]]:
    target = at(policy, ("spec", "targetRef"))
    if target.get("kind") == "Namespace":
        yield {}
    elif target.get("kind") == "Server":
        servers = [each for each in _servers(manifests, policy) if each.metadata.get("name") == target.get("name")]
        yield from _pods(servers)


def _selected(manifests: Sequence[Manifest], policy: Manifest) -> list[Manifest]:
    """The Servers of a ServerAuthorization; expressions are not known to fit."""
    wanted = at(policy, ("spec", "server"))
    labels = mapping(mapping(wanted.get("selector")).get("matchLabels"))
    return [
        each
        for each in _servers(manifests, policy)
        if each.metadata.get("name") == wanted.get("name")
        or ("name" not in wanted and labels.items() <= mapping(each.metadata.get("labels")).items())
    ]


def _servers(manifests: Sequence[Manifest], policy: Manifest) -> list[Manifest]:
    return [each for each in manifests if (each.group, each.kind) == (_GROUP, "Server") and beside(each, policy)]


def _pods(servers: Sequence[Manifest]) -> Iterator[Mapping[str, Any]]:
    """Labels of those whose port is not for measuring alone."""
    for server in servers:
        spec = at(server, ("spec",))
        if str(spec.get("port")) not in MEASURED:
            yield mapping(mapping(spec.get("podSelector")).get("matchLabels"))
