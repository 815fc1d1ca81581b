"""Ways in that are no line of pg_hba, and what comes from elsewhere: what is found, and the nearest that is well."""

from typing import Any

import pytest

from pgbearer.cnpg import about_certificates, about_elsewhere, about_poolers, about_rights
from tests.unit.cnpg_samples import GOOD, changed, codes, postgresql, spec

Objects = list[dict[str, Any]]


def cluster(**values: object) -> Objects:
    return [changed(spec(**values))]


def service(kind: str, **more: object) -> dict[str, Any]:
    return {"metadata": {"name": "outside"}, "spec": {"type": kind, **more}}


def additional(kind: str, **more: object) -> Objects:
    wanted = {"additional": [{"selectorType": "rw", "serviceTemplate": service(kind, **more)}]}
    return [changed(lambda made: made["spec"]["managed"].update(services=wanted))]


def own(selector: dict[str, str], kind: str = "LoadBalancer") -> Objects:
    return [GOOD, {"apiVersion": "v1", "kind": "Service", **service(kind, selector=selector)}]


def bootstrap(**values: object) -> Objects:
    return cluster(bootstrap=values)


def pooler(template: object = None, **values: object) -> Objects:
    made: dict[str, Any] = {"cluster": {"name": "pg"}, "type": "rw", "pgbouncer": {"poolMode": "session", **values}}
    made |= {"serviceTemplate": template} if template else {}
    return [GOOD, {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Pooler", "metadata": {"name": "p"}, "spec": made}]


def certificates(**secrets: str) -> Objects:
    return cluster(certificates=secrets)


def other(**values: object) -> Objects:
    """Another server that this one copies."""
    return cluster(externalClusters=[{"name": "x", **values}])


GRANTS_EXEC = {"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["create"]}
READS_SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}


def built_in(name: str, kind: str = "RoleBinding") -> Objects:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": "b", "namespace": "databases"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "Group", "name": "developers"}],
    }
    return [GOOD, binding]


def by_account(namespace: str) -> Objects:
    objects = built_in("admin", "ClusterRoleBinding")
    objects[1]["subjects"] = [{"kind": "ServiceAccount", "name": "cnpg-manager", "namespace": namespace}]
    return objects


def bound(rule: dict[str, Any], kind: str = "Role", namespace: str = "databases") -> Objects:
    cluster_, binding = built_in("r")
    binding["roleRef"]["kind"] = kind
    binding["metadata"]["namespace"] = namespace
    metadata = {"name": "r", "namespace": namespace}
    return [
        cluster_,
        binding,
        {"apiVersion": binding["apiVersion"], "kind": kind, "metadata": metadata, "rules": [rule]},
    ]


def issuer(secret: str, kind: str = "Issuer", namespace: str = "databases") -> Objects:
    metadata = {"name": "i", "namespace": namespace}
    made = {
        "apiVersion": "cert-manager.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"ca": {"secretName": secret}},
    }
    return [GOOD, made]


def may(verb: str, resource: str, group: str = "", **more: object) -> Objects:
    return bound({"apiGroups": [group], "resources": [resource], "verbs": [verb], **more})


def put_together(label: str) -> Objects:
    """A ClusterRole that another one's rules become part of."""
    cluster_, binding, part = may("create", "pods/exec")
    part |= {"kind": "ClusterRole", "metadata": {"name": "part", "labels": {"into": "r"}}}
    rule = {"clusterRoleSelectors": [{"matchLabels": {"into": label}}]}
    whole = {**part, "metadata": {"name": "r"}, "rules": [], "aggregationRule": rule}
    return [cluster_, {**binding, "roleRef": {**binding["roleRef"], "kind": "ClusterRole"}}, part, whole]


def operators_role(name: str, account: str = "default") -> Objects:
    """The Role that the operator makes for the instances, which is not given, and somebody who is bound to it."""
    cluster_, binding = built_in(name)
    binding["roleRef"]["kind"] = "Role"
    binding["subjects"] = [{"kind": "ServiceAccount", "name": account, "namespace": "databases"}]
    return [cluster_, binding]


PAIRS: list[tuple[Objects, list[str], Objects]] = [
    # Whose certificates
    (certificates(clientCASecret="ours"), ["client_authority"], certificates()),
    (certificates(clientCASecret="ours", replicationTLSSecret="theirs"), ["client_authority"],
     cluster(certificates=None)),
    (certificates(replicationTLSSecret="theirs"), ["client_authority"], certificates(replicationTLSSecret="")),
    (certificates(serverCASecret="ours", serverTLSSecret="x"), ["server_authority"],
     cluster(certificates={"serverAltDNSNames": ["db.example.org"]})),
    (certificates(serverTLSSecret="x"), ["server_authority"], certificates(serverTLSSecret="")),
    # Poolers: the nearest is another operator's
    (pooler(), ["pooler"], [GOOD, {**pooler()[1], "apiVersion": "pooler.example/v1"}]),
    (pooler(pg_hba=["host all all 10.0.0.0/8 trust"]), ["pooler", "pooler_trust"],
     [GOOD, {**pooler(pg_hba=["host all all all trust"])[1], "kind": "Cooler"}]),
    (pooler(parameters={"auth_type": "any"}), ["pooler", "pooler_trust"], [GOOD]),
    (pooler(authQuerySecret={"name": "x"}, authQuery="SELECT 1"), ["pooler", "pooler_reader"], [GOOD]),
    (pooler(authQuery="SELECT 1"), ["pooler", "pooler_reader"], [GOOD]),
    (pooler(template=service("NodePort")), ["pooler", "service_exposed"], [GOOD]),
    # Rights
    (bound(GRANTS_EXEC), ["rights_open"], bound({**GRANTS_EXEC, "resources": ["pods/log"]})),
    (bound({**GRANTS_EXEC, "resources": ["*"], "apiGroups": ["*"]}), ["rights_open"],
     bound({**GRANTS_EXEC, "resources": ["*"], "apiGroups": ["policy"]})),
    (bound(READS_SECRETS), ["rights_open"], bound({**READS_SECRETS, "resourceNames": ["other"]})),
    (bound({**READS_SECRETS, "resourceNames": ["pg-ca"]}), ["rights_open"],
     bound({**READS_SECRETS, "verbs": ["create"]})),
    (bound(GRANTS_EXEC, kind="ClusterRole"), ["rights_open"], bound(GRANTS_EXEC, namespace="other")),
    (may("create", "*/exec"), ["rights_open"], may("create", "*/log")),
    (may("create", "pods"), ["rights_open"], may("delete", "pods")),
    (may("patch", "deployments", "apps"), ["rights_open"], may("get", "deployments", "apps")),
    (may("create", "jobs", "batch"), ["rights_open"], may("create", "jobs", "apps.example")),
    (may("patch", "configmaps"), ["rights_open"], may("get", "configmaps")),
    (may("update", "clusters", "postgresql.cnpg.io"), ["rights_open"], may("get", "clusters", "postgresql.cnpg.io")),
    (may("patch", "clusters", "postgresql.cnpg.io", resourceNames=["pg"]), ["rights_open"],
     may("patch", "clusters", "postgresql.cnpg.io", resourceNames=["other"])),
    (may("create", "serviceaccounts/token"), ["rights_open"], may("create", "serviceaccounts")),
    (may("create", "certificates", "cert-manager.io"), ["rights_open"], may("get", "certificates", "cert-manager.io")),
    (may("bind", "roles", "rbac.authorization.k8s.io"), ["rights_open"],
     may("get", "roles", "rbac.authorization.k8s.io")),
    (may("escalate", "clusterroles", "rbac.authorization.k8s.io"), ["rights_open"],
     may("list", "clusterroles", "rbac.authorization.k8s.io")),
    (may("create", "certificaterequests", "cert-manager.io"), ["rights_open"],
     may("create", "certificaterequests", "other.example")),
    (may("get", "nodes/proxy"), ["rights_open"], may("get", "nodes/metrics")),
    (may("patch", "secrets"), ["rights_open"], may("delete", "secrets")),
    (may("update", "secrets", resourceNames=["pg-ca"]), ["rights_open"],
     may("update", "secrets", resourceNames=["orders"])),
    (may("patch", "externalsecrets", "external-secrets.io"), ["rights_open"],
     may("get", "externalsecrets", "external-secrets.io")),
    (may("create", "pushsecrets", "external-secrets.io"), ["rights_open"],
     may("list", "pushsecrets", "external-secrets.io")),
    (may("patch", "pods"), ["rights_open"], may("patch", "pods/status")),
    (may("create", "replicationcontrollers"), ["rights_open"], may("get", "replicationcontrollers")),
    (may("impersonate", "serviceaccounts"), ["rights_open"], may("list", "serviceaccounts")),
    (may("create", "databaseroles", "postgresql.cnpg.io"), ["rights_open"],
     may("get", "databaseroles", "postgresql.cnpg.io")),
    (may("create", "poolers", "postgresql.cnpg.io"), ["rights_open"], may("create", "backups", "postgresql.cnpg.io")),
    (may("update", "imagecatalogs", "postgresql.cnpg.io"), ["rights_open"],
     may("list", "imagecatalogs", "postgresql.cnpg.io")),
    (operators_role("pg"), ["rights_open"], operators_role("other")),
    (operators_role("pg", account="orders"), ["rights_open"], operators_role("pg", account="pg")),
    (put_together("r"), ["rights_open"], put_together("other")),
    (built_in("edit"), ["rights_open"], built_in("view")),
    (built_in("cluster-admin", "ClusterRoleBinding"), ["rights_open"], built_in("system:auth-delegator")),
    (by_account("default"), ["rights_open"], by_account("cnpg-system")),
    (issuer("pg-ca"), ["client_authority"], issuer("pgbearer-ca")),
    (issuer("pg-ca", kind="ClusterIssuer", namespace="cert-manager"), ["client_authority"],
     issuer("pg-ca", namespace="other")),
    # From elsewhere
    (bootstrap(recovery={"source": "x"}), ["roles_copied"], bootstrap(initdb={"database": "recovery"})),
    (bootstrap(pg_basebackup={"source": "x"}), ["roles_copied"], bootstrap(initdb={})),
    (bootstrap(initdb={"import": {"type": "monolith", "roles": ["*"]}}), ["roles_copied"],
     bootstrap(initdb={"import": {"type": "microservice", "databases": ["x"]}})),
    (cluster(plugins=[{"name": "barman-cloud.cloudnative-pg.io"}]), ["plugin"],
     cluster(plugins=[{"name": "barman-cloud.cloudnative-pg.io", "enabled": False}])),
    (cluster(envFrom=[{"configMapRef": {"name": "x"}}]), ["environment_unseen"],
     cluster(env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "x"}}}])),
    ([changed(postgresql(enableAlterSystem=True))], ["alter_system"], [changed(postgresql(enableAlterSystem=False))]),
    (other(connectionParameters={"host": "x", "password": "y"}), ["password_shown"],
     other(connectionParameters={"host": "x"}, password={"name": "x", "key": "password"})),
    # From outside
    (additional("LoadBalancer"), ["service_exposed"], additional("ClusterIP")),
    (additional("NodePort"), ["service_exposed"], additional("NodePort", loadBalancerSourceRanges=["192.0.2.0/24"])),
    (own({"cnpg.io/cluster": "pg"}), ["service_exposed"], own({"app": "web"})),
    (own({"cnpg.io/poolerName": "p"}, "NodePort"), ["service_exposed"], own({"cnpg.io/cluster": "pg"}, "ClusterIP")),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "expected", "_"), PAIRS)
def test_what_is_found(objects: Objects, expected: list[str], _: Objects) -> None:
    assert codes(*objects) == expected


@pytest.mark.parametrize(("_", "__", "nearest"), PAIRS)
def test_the_nearest_that_is_well(_: Objects, __: list[str], nearest: Objects) -> None:
    assert codes(*nearest) == []


@pytest.mark.parametrize(
    "values",
    [
        {"pg_hba": ["host all all 10.0.0.0/8 scram-sha-256", "host all all all reject"]},
        {"parameters": {"auth_type": "hba", "max_client_conn": "10"}},
        {"template": service("LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"])},
    ],
)
def test_a_pooler_that_asks_for_passwords_is_no_more_than_one(values: dict[str, Any]) -> None:
    assert codes(*pooler(**values)) == ["pooler"]


EVERY_CHECK = [
    (room, check)
    for room in (about_certificates, about_elsewhere, about_poolers, about_rights)
    for check in room.CHECKS
]


@pytest.mark.parametrize(("room", "check"), EVERY_CHECK, ids=lambda value: getattr(value, "__name__", ""))
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, room: Any, check: Any) -> None:
    monkeypatch.setattr(room, "CHECKS", tuple(each for each in room.CHECKS if each is not check))
    assert any(codes(*objects) != expected for objects, expected, _ in PAIRS)
