"""What `pgbearer cnpg check` finds in the service beside a Cluster: its pods, its policy, who may reach it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pgbearer.cnpg import about_service, about_together
from tests.unit.cnpg_samples import GOOD, codes, findings

POLICY = """\
version: 1
servers:
  pg: {certificate: pg.databases.svc}
listen:
  tls:
    address: "0.0.0.0:8443"
    certificate_file: /etc/pgbearer/tls/tls.crt
    key_file: /etc/pgbearer/tls/tls.key
    client_ca_file: /etc/pgbearer/tls/ca.crt
issuers:
  corp:
    profile: keycloak
    issuer: https://issuer.example/realms/corp
    audience: db:pg
    clients: [cli]
    identity: "corp:{sub}"
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: app, any_role: [app], databases: [app], roles: [app]}
audit: {file: "-"}
http: {address: "0.0.0.0:8080"}
"""
CONFINED = {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
CONTAINER = {
    "name": "pgbearer",
    "image": "registry.example/pgbearer:1",
    "args": ["serve"],
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
    "securityContext": CONFINED,
}


def named(kind: str, name: str, group: str = "v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "databases"}, **more}


def policy_for(name: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], **more}
    return named("NetworkPolicy", name, "networking.k8s.io/v1", spec=spec)


WHOLE: dict[str, dict[str, Any]] = {
    "cluster": GOOD,
    "policy": named("ConfigMap", "pgbearer", data={"pgbearer.yaml": POLICY}),
    "service": named(
        "Deployment",
        "pgbearer",
        "apps/v1",
        spec={"template": {"metadata": {"labels": {"app": "pgbearer"}}, "spec": {"containers": [CONTAINER]}}},
    ),
    "to cluster": policy_for("pg", {"cnpg.io/cluster": "pg"}),
    "to service": policy_for("pgbearer", {"app": "pgbearer"}),
    "catalog": named(
        "ImageCatalog", "c", "postgresql.cnpg.io/v1", spec={"images": [{"major": 18, "image": "r/postgresql:18"}]}
    ),
}
Change = Callable[[dict[str, dict[str, Any]]], object]
"""Of the whole, in place."""


def container(**values: Any) -> Change:
    def change(whole: dict[str, dict[str, Any]]) -> None:
        inner = whole["service"]["spec"]["template"]["spec"]["containers"][0]
        for name, value in values.items():
            inner[name] = value
            if value is None:
                del inner[name]

    return change


def settings(old: str, new: str) -> Change:
    assert old in POLICY
    return lambda whole: whole["policy"]["data"].update({"pgbearer.yaml": POLICY.replace(old, new)})


def catalog(major: object, name: str = "c") -> Change:
    asked = {"kind": "ImageCatalog", "name": name, "major": major}
    return lambda whole: whole["cluster"]["spec"].update(imageCatalogRef=asked)


TABLE: list[tuple[Change, list[str]]] = [
    (lambda whole: whole["policy"].update(data={"pgbearer.yaml": "version: 1"}), ["policy_refused"] * 3),
    (lambda whole: whole["policy"].update(data={"pgbearer.yaml": "{"}), ["policy_refused"]),
    (lambda whole: whole["policy"].update(data={"pgbearer.yaml": 1}), ["shape"]),
    (settings("any_role: [app]", "when: clams.x"), ["policy_refused"]),
    (settings("[app], databases", "[app], clients: [other], databases"), ["policy_refused"]),
    (settings("rules:\n", "rules:\n  - {name: b, any_role: [app], databases: [app], roles: [app]}\n"),
     ["policy_warning"]),
    (settings("realms/corp", "realms/other"), ["issuer_unknown"]),
    (settings("issuer.example/realms/corp", "issuer.example/realms/corp/"), ["issuer_unknown"]),
    (container(readinessProbe=None), ["service_not_probed"]),
    (container(securityContext=None), ["service_not_confined"]),
    (container(securityContext=CONFINED | {"readOnlyRootFilesystem": False}), ["service_not_confined"]),
    (container(image="registry.example/pgbearer"), ["image_floating"]),
    (container(image="registry.example/pgbearer:latest"), ["image_floating"]),
    (lambda whole: whole.pop("to cluster"), ["network_open"]),
    (lambda whole: whole.pop("to service"), ["network_open"]),
    (lambda whole: whole["to service"]["spec"].update(policyTypes=["Egress"]), ["network_open"]),
    (lambda whole: whole["to service"]["metadata"].update(namespace="other"), ["network_open"]),
    (lambda whole: whole["to cluster"]["spec"].update(podSelector={"matchLabels": {"a": "b"}}), ["network_open"]),
    (catalog(19), ["catalog_missing", "extension_mismatch"]),
]  # fmt: skip
WELL: list[Change] = [
    lambda _: None,
    catalog(18),
    catalog(18, "elsewhere"),
    lambda whole: (whole.pop("service"), whole.pop("policy"), whole.pop("to cluster"), whole.pop("to service")),
    lambda whole: (whole.pop("to cluster"), whole["to service"]["spec"].update(podSelector={})),
    container(args=["proxy", "start"], readinessProbe=None),
    container(image="r/pgbearer@sha256:" + "0" * 64),
]


def made(change: Change) -> list[dict[str, Any]]:
    whole = copy.deepcopy(WHOLE)
    change(whole)
    return list(whole.values())


@pytest.mark.parametrize(("change", "expected"), TABLE)
def test_what_a_change_comes_to(change: Change, expected: list[str]) -> None:
    assert codes(*made(change)) == expected


@pytest.mark.parametrize("change", WELL)
def test_what_is_well(change: Change) -> None:
    assert codes(*made(change)) == []


EVERY_CHECK = [(room, check) for room in (about_service, about_together) for check in room.CHECKS]


@pytest.mark.parametrize(("room", "check"), EVERY_CHECK, ids=lambda value: getattr(value, "__name__", ""))
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, room: Any, check: Any) -> None:
    monkeypatch.setattr(room, "CHECKS", tuple(each for each in room.CHECKS if each is not check))
    assert any(codes(*made(change)) != expected for change, expected in TABLE)


def test_a_policys_problem_says_where_it_is() -> None:
    (finding,) = findings(*made(settings("any_role: [app]", "when: clams.x")))
    assert finding.what == "ConfigMap/pgbearer"
    assert finding.path == ("data", "pgbearer.yaml")
    assert finding.message.startswith("rules[0].when: ")
