"""What `pgbearer cnpg check` finds in the service beside a Cluster: its pods, its policy, who may reach it."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from pgbearer.cnpg import about_agreement, about_names, about_service, about_together
from tests.unit.cnpg_samples import GOOD, SCRATCH, codes, findings, masked

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
    "image": "registry.corp.example/pgbearer:1",
    "args": ["serve"],
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
    "securityContext": CONFINED,
}


def named(kind: str, name: str, group: str = "v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "databases"}, **more}


def policy_for(name: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], **more}
    return named("NetworkPolicy", name, "networking.k8s.io/v1", spec=spec)


def certificate(name: str, *names: str, **more: Any) -> dict[str, Any]:
    spec = {"secretName": name, "dnsNames": list(names), **more}
    return named("Certificate", name, "cert-manager.io/v1", spec=spec)


def projected(secret: str, folder: str = "") -> dict[str, Any]:
    """A certificate and its key, and beside it only the authority of somebody else."""
    items = [{"key": key, "path": f"{folder}{key}"} for key in ("tls.crt", "tls.key", "ca.crt")]
    other = {"secret": {"name": "keycloak-tls", "items": [{"key": "ca.crt", "path": "keycloak-ca.crt"}]}}
    return {"sources": [{"secret": {"name": secret, "items": items}}, other, {"configMap": {"name": "pgbearer"}}]}


WHOLE: dict[str, dict[str, Any]] = {
    "cluster": GOOD
    | {"spec": GOOD["spec"] | {"projectedVolumeTemplate": projected("pgbearer-client-tls", "pgbearer/")}},
    "policy": named("ConfigMap", "pgbearer", data={"pgbearer.yaml": POLICY}),
    "service": named(
        "Deployment",
        "pgbearer",
        "apps/v1",
        spec={
            "template": {
                "metadata": {"labels": {"app": "pgbearer"}},
                "spec": {
                    "containers": [CONTAINER],
                    "volumes": [{"name": "tls", "projected": projected("pgbearer-service-tls")}],
                },
            }
        },
    ),
    "address": named("Service", "pgbearer", spec={"clusterIP": "None"}),
    "of cluster": certificate("pgbearer-client-tls", "pg.databases.svc"),
    "of service": certificate("pgbearer-service-tls", "pgbearer.databases.svc"),
    "of issuer": certificate("keycloak-tls", "keycloak.databases.svc"),
    "to cluster": policy_for("pg", {"cnpg.io/cluster": "pg"}),
    "to service": policy_for("pgbearer", {"app": "pgbearer"}),
    "catalog": named(
        "ImageCatalog", "c", "postgresql.cnpg.io/v1", spec={"images": [{"major": 18, "image": "r/postgresql:18"}]}
    ),
}
Change = Callable[[dict[str, dict[str, Any]]], object]
"""Of the whole, in place."""


def as_sidecar(whole: dict[str, dict[str, Any]]) -> None:
    """With the policy of the service in pods of its own."""
    operation = {
        "op": "add",
        "path": "/spec/initContainers/-",
        "value": masked(CONTAINER | {"image": "registry.corp.example/pgbearer:1"}),
    }
    whole["cluster"]["metadata"]["annotations"] = {"cnpg.io/podPatch": json.dumps([operation, SCRATCH])}
    whole["cluster"]["spec"]["postgresql"]["parameters"]["pgbearer.endpoints"] = "unix:/run/pgbearer/login/login.sock"


def reached_as(label: str) -> Change:
    """The policy knows the pods by a label that the Cluster has the operator give them."""

    def change(whole: dict[str, dict[str, Any]]) -> None:
        whole["cluster"]["spec"]["inheritedMetadata"] = {"labels": {"a": label}}
        whole["to cluster"]["spec"]["podSelector"] = {"matchLabels": {"a": "b"}}

    return change


def container(**values: Any) -> Change:
    def change(whole: dict[str, dict[str, Any]]) -> None:
        inner = whole["service"]["spec"]["template"]["spec"]["containers"][0]
        for name, value in values.items():
            inner[name] = value
            if value is None:
                del inner[name]

    return change


def pod(**values: Any) -> Change:
    return lambda whole: whole["service"]["spec"]["template"]["spec"].update(values)


def settings(old: str, new: str) -> Change:
    assert old in POLICY

    def change(whole: dict[str, dict[str, Any]]) -> None:
        data = whole["policy"]["data"]
        data["pgbearer.yaml"] = data["pgbearer.yaml"].replace(old, new)

    return change


def catalog(major: object, name: str = "c") -> Change:
    asked = {"kind": "ImageCatalog", "name": name, "major": major}
    return lambda whole: whole["cluster"]["spec"].update(imageCatalogRef=asked)


def endpoint(value: str) -> Change:
    return lambda whole: whole["cluster"]["spec"]["postgresql"]["parameters"].update({"pgbearer.endpoints": value})


def names(which: str, *dns: str, uris: tuple[str, ...] = ()) -> Change:
    """What a Certificate is for."""
    return lambda whole: whole[which]["spec"].update(dnsNames=list(dns), uris=list(uris))


def scope(value: str) -> Change:
    def change(whole: dict[str, dict[str, Any]]) -> None:
        lines = whole["cluster"]["spec"]["postgresql"]["pg_hba"]
        lines[1] = lines[1].replace("openid db:pg", value)

    return change


def cluster(**values: Any) -> Change:
    """Of its spec."""
    return lambda whole: whole["cluster"]["spec"].update(values)


def both(*changes: Change) -> Change:
    return lambda whole: [change(whole) for change in changes]


def moved(whole: dict[str, dict[str, Any]]) -> None:
    """As `namespace: prod` of a kustomization does it."""
    for each in whole.values():
        each["metadata"]["namespace"] = "prod"


def twice(which: str, **values: Any) -> Change:
    """The same object once more, with something said otherwise."""
    return lambda whole: whole.update(again=whole[which] | values)


def lets_in(*rules: dict[str, Any]) -> Change:
    return lambda whole: whole["to cluster"]["spec"].update(ingress=list(rules))


def istio(*rules: dict[str, Any], app: str = "pgbearer", **more: Any) -> Change:
    spec = {"selector": {"matchLabels": {"app": app}}, "rules": list(rules), **more}
    return lambda whole: whole.update(mesh=named("AuthorizationPolicy", "m", "security.istio.io/v1", spec=spec))


def cilium(*rules: dict[str, Any], kind: str = "CiliumNetworkPolicy") -> Change:
    spec = {"endpointSelector": {"matchLabels": {"k8s:cnpg.io/cluster": "pg"}}, "ingress": list(rules)}
    return lambda whole: whole.update(mesh=named(kind, "c", "cilium.io/v2", spec=spec))


def linkerd(*authentications: dict[str, Any], port: object = 8443, target: str = "Server", **of_server: Any) -> Change:
    """A port of the service, and an AuthorizationPolicy for it that asks for all of these."""
    group = "policy.linkerd.io"
    references = [{"group": group, "kind": each["kind"], "name": each["metadata"]["name"]} for each in authentications]
    pods = {"podSelector": {"matchLabels": {"app": "pgbearer"}}, "port": port, "accessPolicy": "deny", **of_server}
    allowed = {
        "targetRef": {"kind": target, "name": "login" if target == "Server" else "databases"},
        "requiredAuthenticationRefs": references,
    }
    made = {each["metadata"]["name"]: each for each in authentications}
    made["server"] = named("Server", "login", f"{group}/v1beta3", spec=pods)
    made["allowed"] = named("AuthorizationPolicy", "login", f"{group}/v1alpha1", spec=allowed)
    return lambda whole: whole.update(made)


def meshed(*identities: str) -> dict[str, Any]:
    spec = {"identities": list(identities)}
    return named("MeshTLSAuthentication", "meshed", "policy.linkerd.io/v1alpha1", spec=spec)


def networked(cidr: str) -> dict[str, Any]:
    spec = {"networks": [{"cidr": cidr}]}
    return named("NetworkAuthentication", "networked", "policy.linkerd.io/v1alpha1", spec=spec)


def authorized(server: dict[str, Any], **client: Any) -> Change:
    """A ServerAuthorization of the service's port, beside the policy that names who may come."""
    spec = {"server": server, "client": client}
    made = named("ServerAuthorization", "old", "policy.linkerd.io/v1beta1", spec=spec)
    return lambda whole: (linkerd(meshed(PEER))(whole), whole.update(old=made))


PEER = "pg.databases.serviceaccount.identity.linkerd.cluster.local"
SPIFFE = "spiffe://prod.example/ns/databases/sa/pgbearer"
ROLE = named("DatabaseRole", "r", "postgresql.cnpg.io/v1", spec={"name": "reader", "cluster": {"name": "pg"}})
TABLE: list[tuple[Change, list[str]]] = [
    (lambda whole: whole["policy"].update(data={"pgbearer.yaml": "version: 1"}), ["policy_refused"] * 3),
    (lambda whole: whole["policy"].update(data={"pgbearer.yaml": "{"}), ["policy_refused"]),
    (lambda whole: whole["policy"].update(data={"pgbearer.yaml": 1}), ["shape"]),
    (settings("any_role: [app]", "when: clams.x"), ["policy_refused"]),
    (settings("[app], databases", "[app], clients: [other], databases"), ["policy_refused"]),
    (settings("    clients: [cli]\n", ""), ["policy_refused"]),
    (settings("profile: keycloak", "profile: entra"), ["policy_refused"] * 2),
    (settings("rules:\n", "rules:\n  - {name: b, any_role: [app], databases: [app], roles: [app]}\n"),
     ["policy_warning"]),
    (settings("realms/corp", "realms/other"), ["issuer_unknown"]),
    (settings("issuer.example/realms/corp", "issuer.example/realms/corp/"), ["issuer_unknown"]),
    (settings("/etc/pgbearer/tls/ca.crt", "/etc/ssl/certs/ca-certificates.crt"), ["clients_public"]),
    (settings("/etc/pgbearer/tls/ca.crt", "/etc/pgbearer/../pki/tls/certs/ca-bundle.crt"), ["clients_public"]),
    (container(readinessProbe=None), ["service_not_probed"]),
    (container(securityContext=None), ["service_not_confined"]),
    (container(securityContext=CONFINED | {"readOnlyRootFilesystem": False}), ["service_not_confined"]),
    (container(command=["sh", "-c", "pgbearer serve"], args=None), ["service_changed"]),
    (container(env=[{"name": "PYTHONPATH", "value": "/run"}]), ["service_changed"]),
    (container(livenessProbe={"exec": {"command": ["sh"]}}), ["service_changed"]),
    (container(volumeMounts=[{"name": "elsewhere", "mountPath": "/usr/local/lib"}]), ["service_changed"]),
    (pod(hostNetwork=True), ["service_changed"]),
    (pod(shareProcessNamespace=True), ["service_changed"]),
    (pod(initContainers=[{"name": "more", "image": "r/more:1"}]), ["service_changed"]),
    (container(image="registry.corp.example/pgbearer"), ["image_floating"]),
    (container(image="registry.corp.example/pgbearer:latest"), ["image_floating"]),
    (container(image="registry.other.example/pgbearer:1"), ["image_elsewhere"]),
    (container(image="registry.corp.example/tools/pgbearer:1"), ["image_elsewhere"]),
    (lambda whole: whole.pop("to cluster"), ["network_open"]),
    (lambda whole: whole.pop("to service"), ["network_open"]),
    (lambda whole: whole["to service"]["spec"].update(policyTypes=["Egress"]), ["network_open"]),
    (lambda whole: whole["to service"]["metadata"].update(namespace="other"), ["network_open"]),
    (lambda whole: whole["to service"]["spec"].update(ingress=[{}]), ["network_open"]),
    (lambda whole: whole["to cluster"]["spec"].update(ingress=[{"from": []}]), ["network_open"]),
    (lambda whole: whole.update(more=policy_for("more", {"cnpg.io/cluster": "pg"}, ingress=[{}])), ["network_open"]),
    (lambda whole: whole["to cluster"]["spec"].update(podSelector={"matchLabels": {"a": "b"}}), ["network_open"]),
    (as_sidecar, ["socket_unknown"]),
    (lets_in({"ports": [{"port": 5432}]}), ["network_open"]),
    (lets_in({"ports": [{"port": 9187}, {"port": 5432}]}), ["network_open"]),
    (lets_in({"ports": [{"port": 8080, "endPort": 9187}]}), ["network_open"]),
    (lets_in({"from": [{"namespaceSelector": {}}]}), ["network_open"]),
    (lets_in({"from": [{"namespaceSelector": {"matchLabels": {}}, "podSelector": {}}]}), ["network_open"]),
    (lets_in({"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["192.0.2.0/24"]}}]}), ["network_open"]),
    (lets_in({"from": [{"ipBlock": {"cidr": "::/0"}}], "ports": [{"port": 5432}]}), ["network_open"]),
    (istio({}), ["network_open"]),
    (istio({"to": [{"operation": {"ports": ["8443"]}}]}), ["network_open"]),
    (istio({"from": [{"source": {"principals": ["*"]}}]}, action="ALLOW"), ["network_open"]),
    (cilium({"fromEntities": ["world"]}), ["network_open"]),
    (cilium({"fromEntities": ["cluster", "all"]}, kind="CiliumClusterwideNetworkPolicy"), ["network_open"]),
    (cilium({"fromCIDR": ["0.0.0.0/0"]}), ["network_open"]),
    (cilium({"toPorts": [{"ports": [{"port": "5432"}]}]}), ["network_open"]),
    (linkerd(), ["network_open"]),
    (linkerd(target="Namespace"), ["network_open"]),
    (linkerd(meshed("*")), ["network_open"]),
    (linkerd(networked("0.0.0.0/0")), ["network_open"]),
    (linkerd(meshed("*"), networked("::/0")), ["network_open"]),
    (linkerd(meshed(PEER), accessPolicy="all-authenticated"), ["network_open"]),
    (authorized({"name": "login"}, unauthenticated=True), ["network_open"]),
    (authorized({"selector": {"matchLabels": {}}}, meshTLS={"identities": ["*"]}), ["network_open"]),
    (authorized({"name": "login"}, meshTLS={"unauthenticatedTLS": True}), ["network_open"]),
    (reached_as("b"), []),
    (reached_as("c"), ["network_open"]),
    (catalog(19), ["catalog_missing", "extension_mismatch"]),
    # The policy and the Cluster
    (settings("audience: db:pg", "audience: db:other"), ["audience_other"]),
    (scope("openid db:other"), ["audience_other"]),
    (settings("roles: [app]}", "roles: [reader]}"), ["role_unknown"]),
    (settings("roles: [app]}", "roles: [app, 'read*', '{sub}', reader]}"), ["role_unknown"]),
    (cluster(managed={"roles": [{"name": "people"}, {"name": "app", "ensure": "absent"}]},
             bootstrap={"initdb": {"owner": "owner"}}), ["role_unknown"]),
    # Names and certificates
    (settings("pg.databases.svc", "pg.prod.svc"), ["server_unknown"]),
    (names("of cluster", "pg.prod.svc"), ["server_unknown"]),
    (names("of cluster", "pg.databases.svc", uris=(SPIFFE,)), ["server_unknown"]),
    (names("of service", "pgbearer"), ["endpoint_name"]),
    (names("of service", "pgbearer.databases.svc", uris=(SPIFFE,)), ["endpoint_name"]),
    (endpoint("tcp://pgbearer.databases.svc:8443?hostname=pgbearer.prod.svc"), ["endpoint_name"]),
    (endpoint(f"tcp://pgbearer.databases.svc:8443?spiffe={SPIFFE}"), ["endpoint_name"]),
    (endpoint("tcp://pgbearer.prod.svc:8443?hostname=pgbearer.databases.svc"), ["endpoint_namespace"]),
    (endpoint("tcp://pgbearer.prod.svc.cluster.local:8443?hostname=pgbearer.databases.svc"), ["endpoint_namespace"]),
    (moved, ["endpoint_namespace"]),
    (lambda whole: whole.pop("address"), ["endpoint_service"]),
    (endpoint("tcp://logins.databases.svc:8443?hostname=pgbearer.databases.svc"), ["endpoint_service"]),
    (lambda whole: whole["address"]["spec"].update(selector={"app": "other"}), ["endpoint_service"]),
    # What comes twice
    (twice("policy", data={"pgbearer.yaml": POLICY + "# another\n"}), ["object_twice"]),
    (twice("service", metadata=WHOLE["service"]["metadata"] | {"labels": {"a": "b"}}), ["object_twice"]),
]  # fmt: skip
WELL: list[Change] = [
    lambda _: None,
    lets_in({"ports": [{"port": 9187}]}),
    lets_in({"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}),
    lets_in({"from": [{"podSelector": {}}]}),
    lets_in({"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 5432}]}),
    istio({"to": [{"operation": {"ports": ["8080"]}}]}),
    istio({"from": [{"source": {"principals": ["cluster.local/ns/databases/sa/pg"]}}]}),
    istio({}, action="DENY"),
    istio({}, app="other"),
    linkerd(meshed(PEER)),
    linkerd(meshed("*"), networked("192.0.2.0/24")),
    linkerd(meshed(PEER), networked("0.0.0.0/0")),
    linkerd(port=8080),
    linkerd(podSelector={"matchLabels": {"app": "other"}}),
    both(linkerd(meshed("*")), lambda whole: whole.pop("meshed")),  # Linkerd leaves the policy out
    authorized({"name": "login"}, meshTLS={"identities": [PEER]}),
    authorized({"name": "login"}, unauthenticated=True, networks=[{"cidr": "192.0.2.0/24"}]),
    authorized({"name": "other"}, unauthenticated=True),
    cilium({"fromEntities": ["cluster"]}),
    cilium({"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "9187"}]}]}),
    catalog(18),
    catalog(18, "elsewhere"),
    lambda whole: (whole.pop("service"), whole.pop("policy"), whole.pop("to cluster"), whole.pop("to service")),
    lambda whole: (whole.pop("to cluster"), whole["to service"]["spec"].update(podSelector={})),
    container(args=["proxy", "start"], readinessProbe=None),
    container(args=["serve", "-c", "/etc/pgbearer/config/pgbearer.yaml"], env=[{"name": "TZ", "value": "UTC"}]),
    pod(hostNetwork=False, volumes=[{"name": "config"}]),
    container(image="registry.corp.example/pgbearer@sha256:" + "0" * 64),
    both(settings("audience: db:pg", "audience: db:other"), scope("openid db:pg db:other")),
    both(settings("audience: db:pg", "audience: db:other"), scope("openid")),  # the issuer may add it to all tokens
    both(settings("audience: db:pg", "audience: pg"), scope("openid db:read")),
    settings("realms/corp\n", "realms/corp\n    audience_exclusive: false\n"),
    settings("roles: [app]}", "roles: ['read*', 'x{sub}']}"),
    both(settings("roles: [app]}", "roles: [reader]}"), lambda whole: whole.update(role=ROLE)),
    both(settings("roles: [app]}", "roles: [owner]}"), cluster(bootstrap={"initdb": {"owner": "owner"}})),
    both(settings("roles: [app]}", "roles: [reader]}"), cluster(managed=None)),  # all are made by SQL
    both(settings("roles: [app]}", "roles: [x]}"), cluster(bootstrap={"initdb": {"postInitSQL": ["CREATE ROLE x"]}})),
    both(
        settings("roles: [app]}", "roles: [x]}"),
        settings("svc}\n", "svc}\n  other: {certificate: other.databases.svc}\n"),
    ),
    both(settings("pg.databases.svc", "pg.prod.svc"), lambda whole: whole.pop("of cluster")),
    both(settings("pg.databases.svc", SPIFFE), names("of cluster", "pg.databases.svc", uris=(SPIFFE,))),
    both(endpoint(f"tcp://pgbearer.databases.svc:8443?spiffe={SPIFFE}"), names("of service", uris=(SPIFFE,))),
    both(endpoint("tcp://pgbearer.databases.svc:8443?hostname=x"), lambda whole: whole.pop("of service")),
    both(moved, endpoint("tcp://pgbearer.prod.svc:8443?hostname=pgbearer.databases.svc")),
    endpoint("tcp://logins.example:8443?hostname=logins.example"),
    both(endpoint("tcp://pgbearer.prod.svc:8443?hostname=pgbearer.prod.svc"), lambda whole: whole.pop("address")),
    lambda whole: (whole.pop("address"), whole.pop("service")),
    lambda whole: (
        whole.pop("address"),
        *(whole[of]["metadata"].update(namespace="logins") for of in ("service", "to service")),
    ),
    lambda whole: whole["address"]["spec"].update(selector={"app": "pgbearer"}),
    lambda whole: whole["address"]["metadata"].pop("namespace"),
    settings("/etc/pgbearer/tls/ca.crt", "/etc/pgbearer/etc/ssl/certs/ca.crt"),
    twice("policy"),
    twice("address", metadata={"name": "pgbearer", "namespace": "other"}),
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


EVERY_CHECK = [
    (room, check) for room in (about_service, about_together, about_agreement, about_names) for check in room.CHECKS
]


@pytest.mark.parametrize(("room", "check"), EVERY_CHECK, ids=lambda value: getattr(value, "__name__", ""))
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, room: Any, check: Any) -> None:
    monkeypatch.setattr(room, "CHECKS", tuple(each for each in room.CHECKS if each is not check))
    assert any(codes(*made(change)) != expected for change, expected in TABLE)


def test_a_policys_problem_says_where_it_is() -> None:
    (finding,) = findings(*made(settings("any_role: [app]", "when: clams.x")))
    assert finding.what == "ConfigMap/pgbearer"
    assert finding.path == ("data", "pgbearer.yaml")
    assert finding.message.startswith("rules[0].when: ")
