"""Who can reach whom by the NetworkPolicies of rendered manifests. A small simulator: it refuses what it does not know.

As the API has it: a pod that no policy selects in a direction is open in it; else only what one of them allows. Both
ends must allow a connection. The node's own kubelet always reaches its pods, for probes.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Place", "allowed", "reach"]

Json = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True, slots=True)
class Place:
    """A pod, or an address outside of the cluster.

    `namespace` is None for an address; `labels` are the pod's, `namespace_labels` its namespace's beside its name.
    """

    name: str
    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


def allowed(policies: Sequence[Json], source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether `source` can connect to `target`.

    Raises:
        ValueError: a policy has something that is not simulated here.
    """
    leaves = _allows(policies, "Egress", source, target, port, protocol)
    return leaves and _allows(policies, "Ingress", target, source, port, protocol)


def reach(policies: Sequence[Json], places: Sequence[Place], ports: Mapping[int, str]) -> dict[str, list[str]]:
    """Every connection that is allowed and at whose ends at least one pod is that a policy isolates.

    Args:
        policies: of one or more namespaces.
        places: who is there.
        ports: that are tried, with their protocols.

    Returns:
        By the name of who connects, lines of ``PORT PORT: NAME, NAME``.
    """
    found: dict[str, list[str]] = {}
    for source in places:
        whom: dict[str, list[str]] = {}
        for target in places:
            if source is target or not (_selecting(policies, source) or _selecting(policies, target)):
                continue
            if through := [port for port, kind in ports.items() if allowed(policies, source, target, port, kind)]:
                whom.setdefault(" ".join(map(str, through)), []).append(target.name)
        if whom:
            found[source.name] = [f"{through}: {', '.join(names)}" for through, names in whom.items()]
    return found


def _selecting(policies: Sequence[Json], place: Place, direction: Direction | None = None) -> list[Json]:
    """The policies that concern `place`, in one direction or at all."""
    return [
        policy["spec"]
        for policy in policies
        if place.namespace == policy["metadata"]["namespace"]
        and _matches(policy["spec"]["podSelector"], place.labels)
        and (direction is None or direction in policy["spec"]["policyTypes"])
    ]


def _allows(policies: Sequence[Json], direction: Direction, own: Place, other: Place, port: int, kind: str) -> bool:
    """Whether the policies of `own` let it have `other` at the far end."""
    selecting = _selecting(policies, own, direction)
    side, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return not selecting or any(
        _covers(rule, port, kind) and _has_peer(rule.get(peers), own, other)
        for spec in selecting
        for rule in spec.get(side, ())
    )


def _covers(rule: Json, port: int, protocol: str) -> bool:
    for entry in rule.get("ports", ()):
        if set(entry) - {"port", "protocol"} or not isinstance(entry["port"], int):
            raise ValueError(f"not simulated: {entry}")
    return "ports" not in rule or any(
        (entry["port"], entry.get("protocol", "TCP")) == (port, protocol) for entry in rule["ports"]
    )


def _has_peer(peers: Sequence[Json] | None, own: Place, other: Place) -> bool:
    return not peers or any(_is_peer(peer, own, other) for peer in peers)


def _is_peer(peer: Json, own: Place, other: Place) -> bool:
    if set(peer) == {"ipBlock"}:
        return _is_in(peer["ipBlock"], other)
    if not set(peer) <= {"podSelector", "namespaceSelector"}:
        raise ValueError(f"not simulated: {peer}")
    if other.namespace is None or not _matches(peer.get("podSelector", {}), other.labels):
        return False
    if "namespaceSelector" not in peer:
        return own.namespace == other.namespace
    labels = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
    return _matches(peer["namespaceSelector"], labels)


def _is_in(block: Json, place: Place) -> bool:
    """Whether a block means pods too depends on the network; it is taken as if it did, which allows more."""
    address = ipaddress.ip_address(place.address)
    outside = (ipaddress.ip_network(each) for each in block.get("except", ()))
    return address in ipaddress.ip_network(block["cidr"]) and not any(address in each for each in outside)


def _matches(selector: Json, labels: Mapping[str, str]) -> bool:
    if set(selector) - {"matchLabels"}:
        raise ValueError(f"not simulated: {selector}")
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
