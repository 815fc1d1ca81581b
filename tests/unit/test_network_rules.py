"""The simulator of NetworkPolicies, by the rules of the API: it must not call closed what is open."""

from typing import Any

import pytest

from tests.cnpg.network import Place, allowed, reach

DATABASE = Place("database", "10.0.0.1", "data", {"app": "db"})
APP = Place("app", "10.0.0.2", "shop", {"app": "shop"}, {"team": "shop"})
NEIGHBOUR = Place("neighbour", "10.0.0.3", "data", {"app": "x"})
OUTSIDE = Place("outside", "203.0.113.1")


def policy(*directions: str, **rules: Any) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": list(directions), **rules}
    return {"metadata": {"namespace": "data"}, "spec": spec}


def ingress(peer: dict[str, Any], *ports: int) -> dict[str, Any]:
    return policy("Ingress", ingress=[{"from": [peer], "ports": [{"port": port} for port in ports]}])


def test_what_no_policy_selects_is_open() -> None:
    assert allowed([], APP, DATABASE, 5432)
    assert allowed([policy("Ingress")], DATABASE, APP, 5432)  # isolated in the other direction alone
    assert allowed([policy("Ingress")], APP, NEIGHBOUR, 5432)
    assert not allowed([policy("Ingress")], APP, DATABASE, 5432)
    assert not allowed([policy("Egress")], DATABASE, APP, 5432)


@pytest.mark.parametrize(
    ("peer", "source", "expected"),
    [
        ({"podSelector": {"matchLabels": {"app": "x"}}}, NEIGHBOUR, True),
        ({"podSelector": {"matchLabels": {"app": "shop"}}}, APP, False),  # of this namespace only
        ({"podSelector": {}}, APP, False),
        ({"podSelector": {}}, NEIGHBOUR, True),
        ({"namespaceSelector": {"matchLabels": {"team": "shop"}}}, APP, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, APP, True),
        ({"namespaceSelector": {"matchLabels": {"team": "other"}}}, APP, False),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}}, APP, False),
        ({"namespaceSelector": {}}, OUTSIDE, False),
        ({"ipBlock": {"cidr": "203.0.113.0/24"}}, OUTSIDE, True),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}}, OUTSIDE, False),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, APP, True),
    ],
)
def test_peers(peer: dict[str, Any], source: Place, *, expected: bool) -> None:
    assert allowed([ingress(peer, 5432)], source, DATABASE, 5432) is expected
    assert not allowed([ingress(peer, 5432)], source, DATABASE, 22)


def test_policies_add_up_and_both_ends_must_allow() -> None:
    one, other = ingress({"podSelector": {}}, 5432), ingress({"namespaceSelector": {}}, 8000)
    assert allowed([one, other], APP, DATABASE, 8000)
    assert not allowed([one, other], APP, DATABASE, 5432)
    closed = {"metadata": {"namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}
    assert not allowed([one, other, closed], APP, DATABASE, 8000)


def test_a_rule_without_peers_or_ports_is_for_all() -> None:
    assert allowed([policy("Ingress", ingress=[{}])], OUTSIDE, DATABASE, 22)
    assert not allowed([policy("Ingress", ingress=[])], OUTSIDE, DATABASE, 22)
    assert not allowed([ingress({"podSelector": {}}, 53)], NEIGHBOUR, DATABASE, 53, "UDP")


def test_reach_names_what_a_policy_isolates() -> None:
    found = reach([ingress({"podSelector": {}}, 5432)], [DATABASE, APP, NEIGHBOUR], {5432: "TCP", 22: "TCP"})
    assert found == {"database": ["5432 22: app, neighbour"], "neighbour": ["5432: database"]}


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"podSelector": {"matchExpressions": []}}]},
        {"from": [{"podSelector": {}, "ipBlock": {"cidr": "0.0.0.0/0"}}]},
        {"ports": [{"port": "named"}]},
        {"ports": [{"port": 1, "endPort": 2}]},
    ],
)
def test_what_is_not_known_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not simulated"):
        allowed([policy("Ingress", ingress=[rule])], NEIGHBOUR, DATABASE, 1)
