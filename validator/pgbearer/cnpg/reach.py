"""Whether a policy of the network lets everybody in: Kubernetes' own, Istio's and Cilium's."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["MEASURED", "WHOLE", "lets_everybody_in", "mesh_selector"]

MEASURED: Final = frozenset({"8080", "9187", "http", "metrics", "pgbearer-http"})
"""Ports that tell how it goes, and let nobody in."""
WHOLE: Final = ("/0", "/1")
"""How blocks end that have every address, or half of them."""
_ENTITIES: Final = frozenset({"world", "all"})


def lets_everybody_in(policy: Manifest) -> bool:
    """Whether one of its rules names nobody, or everybody, for a port that is not for measuring alone."""
    spec = at(policy, ("spec",))
    match policy.group, policy.kind:
        case "networking.k8s.io", "NetworkPolicy":
            return any(_is_open(rule) for rule in _mappings(spec.get("ingress")))
        case "security.istio.io", "AuthorizationPolicy":
            allows = spec.get("action", "ALLOW") == "ALLOW"
            return allows and any(_is_open_in_istio(rule) for rule in _mappings(spec.get("rules")))
        case "cilium.io", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy":
            return any(_is_open_in_cilium(rule) for rule in _mappings(spec.get("ingress")))
    return False


def mesh_selector(policy: Manifest) -> Mapping[str, Any] | None:
    """The labels of the pods that a policy of Istio's or Cilium's is for; None for another object."""
    match policy.group, policy.kind:
        case "security.istio.io", "AuthorizationPolicy":
            return mapping(at(policy, ("spec", "selector")).get("matchLabels"))
        case "cilium.io", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy":
            labels = mapping(at(policy, ("spec", "endpointSelector")).get("matchLabels"))
            return {name.removeprefix("k8s:").removeprefix("any:"): value for name, value in labels.items()}
    return None


def _is_open(rule: Mapping[str, Any]) -> bool:
    ports = list(_mappings(rule.get("ports")))
    if ports and all(str(port.get("port")) in MEASURED and "endPort" not in port for port in ports):
        return False
    peers = list(_mappings(rule.get("from")))
    return not peers or any(map(_is_everybody, peers))


def _is_everybody(peer: Mapping[str, Any]) -> bool:
    if "ipBlock" in peer:
        return text(mapping(peer["ipBlock"]).get("cidr")).endswith(WHOLE)
    anywhere = "namespaceSelector" in peer and not any(mapping(peer["namespaceSelector"]).values())
    return anywhere and not any(mapping(peer.get("podSelector")).values())


def _is_open_in_istio(rule: Mapping[str, Any]) -> bool:
    """What a condition of it lets in is not known, and so not guessed."""
    wanted = [mapping(each.get("operation")) for each in _mappings(rule.get("to"))]
    if rule.get("when") or (wanted and all(_only_measures(each.get("ports")) for each in wanted)):
        return False
    sources = [mapping(each.get("source")) for each in _mappings(rule.get("from"))]
    return not sources or any(all("*" in listing(value) for value in source.values()) for source in sources)


def _is_open_in_cilium(rule: Mapping[str, Any]) -> bool:
    ports = [port.get("port") for each in _mappings(rule.get("toPorts")) for port in _mappings(each.get("ports"))]
    if _only_measures(ports):
        return False
    blocks = [*listing(rule.get("fromCIDR")), *(each.get("cidr") for each in _mappings(rule.get("fromCIDRSet")))]
    named = any(key.startswith("from") for key in rule)
    whole = any(text(block).endswith(WHOLE) for block in blocks)
    return not named or whole or bool(_ENTITIES & set(map(text, listing(rule.get("fromEntities")))))


def _only_measures(ports: object) -> bool:
    return bool(listing(ports)) and all(str(port) in MEASURED for port in listing(ports))


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    return map(mapping, listing(value))
