"""Keys and certificates by which another is a Cluster or its service: what is found, and the nearest that is well."""

import copy
from typing import Any

import pytest

from pgbearer.cnpg import about_secrets
from tests.unit.cnpg_samples import codes
from tests.unit.test_cnpg_check_service import WHOLE, certificate, named

Objects = list[dict[str, Any]]
ISSUER = {"name": "pgbearer-ca"}


def whole(*more: dict[str, Any], issuer: dict[str, str] = ISSUER) -> Objects:
    """The service, the Cluster and their certificates, all of one authority, with something beside them."""
    made = copy.deepcopy(WHOLE)
    for each in ("of cluster", "of service"):
        made[each]["spec"]["issuerRef"] = issuer
    authority = named("Issuer", "pgbearer-ca", "cert-manager.io/v1", spec={"ca": {"secretName": "pgbearer-ca"}})
    return [*made.values(), authority, *more]


def workload(pod: dict[str, Any], kind: str = "Deployment", namespace: str = "databases") -> dict[str, Any]:
    container = {"name": "app", "image": "registry.corp.example/orders:1", **pod.pop("container", {})}
    spec: dict[str, Any] = {"template": {"spec": {"containers": [container], **pod}}}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    made = named(kind, "orders", "apps/v1", spec=spec)
    return made | {"metadata": {"name": "orders", "namespace": namespace}}


def mounts(secret: str, *keys: str, kind: str = "Deployment", namespace: str = "databases") -> Objects:
    source = {"secretName": secret} | ({"items": [{"key": key, "path": key} for key in keys]} if keys else {})
    return whole(workload({"volumes": [{"name": "v", "secret": source}]}, kind, namespace))


def projects(secret: str, *keys: str) -> Objects:
    source = {"name": secret, "items": [{"key": key, "path": key} for key in keys]}
    return whole(workload({"volumes": [{"name": "v", "projected": {"sources": [{"secret": source}]}}]}))


def has(**container: Any) -> Objects:
    return whole(workload({"container": container}))


def variable(secret: str, key: str) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def another(*names: str, issuer: dict[str, str] = ISSUER, namespace: str = "databases", **more: Any) -> Objects:
    made = certificate("theirs", *names, issuerRef=issuer, **more)
    made["metadata"]["namespace"] = namespace
    return whole(made, issuer=issuer if issuer.get("kind") else ISSUER)


def runs_as(account: str, kind: str = "Deployment", namespace: str = "databases") -> Objects:
    return whole(workload({"serviceAccountName": account}, kind, namespace))


def may(verb: str, resource: str, name: str) -> Objects:
    """Somebody has a right over one object by its name, beside a Cluster that also goes by a ConfigMap."""
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": [resource], "verbs": [verb], "resourceNames": [name]}
    role = named("Role", "r", f"{group}/v1", rules=[rule])
    subjects = [{"kind": "Group", "name": "developers"}]
    binding = named(
        "RoleBinding", "b", f"{group}/v1", roleRef={"apiGroup": group, "kind": "Role", "name": "r"}, subjects=subjects
    )
    made = whole(role, binding)
    made[0]["spec"]["projectedVolumeTemplate"]["sources"].append({"configMap": {"name": "pgbearer-trust"}})
    return made


def from_store(secret: str, kind: str = "ClusterSecretStore", **more: Any) -> Objects:
    """A Secret that External Secrets makes of what is in a store."""
    spec = {"secretStoreRef": {"kind": kind, "name": "vault"}, "target": {"name": secret}}
    return whole(
        named("ExternalSecret", "brings", "external-secrets.io/v1", spec=spec),
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ClusterSecretStore",
            "metadata": {"name": "vault"},
            "spec": {"provider": {}, **more},
        },
    )


EVERYWHERE = {"kind": "ClusterIssuer", "name": "all"}
PAIRS: list[tuple[Objects, list[str], Objects]] = [
    (mounts("pgbearer-client-tls"), ["secret_shared"], mounts("pgbearer-client-tls", "ca.crt")),
    (mounts("pgbearer-service-tls"), ["secret_shared"], mounts("pgbearer-service-tls", namespace="shop")),
    (mounts("pgbearer-service-tls", "tls.crt", "tls.key"), ["secret_shared"], mounts("keycloak-tls")),
    (mounts("pgbearer-ca", kind="CronJob"), ["secret_shared"], mounts("other-ca", kind="CronJob")),
    (mounts("pg-ca"), ["secret_shared"], mounts("pg-ca", "ca.crt")),
    (mounts("pg-replication", "tls.key", kind="StatefulSet"), ["secret_shared"], mounts("pg-app")),
    (projects("pg-ca", "ca.crt", "ca.key"), ["secret_shared"], projects("pg-ca", "ca.crt")),
    (has(envFrom=[{"secretRef": {"name": "pg-superuser"}}]), ["secret_shared"],
     has(envFrom=[{"secretRef": {"name": "orders"}}])),
    (has(env=[variable("pg-ca", "ca.key")]), ["secret_shared"], has(env=[variable("pg-ca", "ca.crt")])),
    (runs_as("pg"), ["secret_shared"], runs_as("orders")),
    (runs_as("pg", kind="CronJob"), ["secret_shared"], runs_as("pg", namespace="shop")),
    (may("get", "secrets", "pgbearer-ca"), ["rights_open"], may("get", "secrets", "keycloak-tls")),
    (may("get", "secrets", "pgbearer-service-tls"), ["rights_open"], may("watch", "secrets", "orders")),
    (may("patch", "secrets", "pgbearer-client-tls"), ["rights_open"], may("patch", "secrets", "orders")),
    (may("patch", "secrets", "keycloak-tls"), ["rights_open"], may("get", "configmaps", "pgbearer")),
    (may("update", "configmaps", "pgbearer-trust"), ["rights_open"], may("update", "configmaps", "orders")),
    (another("pg.databases.svc"), ["certificate_other"], another("orders.databases.svc")),
    (another("Pgbearer.databases.svc"), ["certificate_other"],
     another("pgbearer.databases.svc", issuer={"name": "other"})),
    (whole(issuer=EVERYWHERE), ["certificate_other"] * 2, whole()),
    (from_store("pgbearer-client-tls"), ["secret_shared"],
     from_store("pgbearer-client-tls", conditions=[{"namespaces": ["databases"]}])),
    (from_store("pgbearer-service-tls"), ["secret_shared"], from_store("orders")),
    (from_store("pg-ca"), ["secret_shared"], from_store("pg-ca", kind="SecretStore")),
    (another("pg.databases.svc", issuer=EVERYWHERE, namespace="shop"), ["certificate_other"] * 3,
     another("pg.databases.svc", namespace="shop")),
    (another("orders.databases.svc", isCA=True), ["certificate_other"],
     another("orders.databases.svc", uris=["spiffe://corp.example/pg.databases.svc"], isCA=False)),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "expected", "_"), PAIRS)
def test_what_is_found(objects: Objects, expected: list[str], _: Objects) -> None:
    assert codes(*objects) == expected


@pytest.mark.parametrize(("_", "__", "nearest"), PAIRS)
def test_the_nearest_that_is_well(_: Objects, __: list[str], nearest: Objects) -> None:
    assert codes(*nearest) == []


@pytest.mark.parametrize("check", about_secrets.CHECKS)
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, check: Any) -> None:
    monkeypatch.setattr(about_secrets, "CHECKS", tuple(each for each in about_secrets.CHECKS if each is not check))
    assert any(codes(*objects) != expected for objects, expected, _ in PAIRS)
