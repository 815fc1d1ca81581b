"""What `pgbearer cnpg render` makes of a spec, and what it refuses with nothing written."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.cnpg import Images, check_text
from pgbearer.cnpg.draft import Draft, decode_spec
from pgbearer.cnpg.render import Rendered, render
from pgbearer.config import ConfigError
from pgbearer.config.yaml_file import parse_documents, parse_yaml

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "orders",
    "namespace": "shop",
    "issuer": "https://sso.example.org/realms/corp",
    "audience": "db:orders",
    "database": "orders",
    "roles": [{"name": "orders_reader", "inherits": ["pg_read_all_data"], "given_by": ["readers", "writers"]}],
}
OAUTH = (
    'oauth issuer="https://sso.example.org/realms/corp" scope="openid db:orders" delegate_ident_mapping=1 '
    "validator=pgbearer"
)
PASSWORD = "hostssl orders reporting all scram-sha-256"


def spec(**change: Any) -> Draft:
    return decode_spec(
        json.dumps({name: value for name, value in (SPEC | change).items() if value is not ...}), "s.yaml"
    )


def made(**change: Any) -> Rendered:
    return render(spec(**change))


def refused(**change: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        made(**change)
    return [str(problem) for problem in caught.value.problems]


def one(rendered: Rendered, kind: str) -> dict[str, Any]:
    (found,) = (each for each in rendered.objects if each["kind"] == kind)
    return found


WORKLOADS: dict[str, Any] = {
    "workloads": {"roles": [{"name": "orders", "inherits": ["pg_read_all_data"], "service_account": "eshop/orders"}]}
}
SPIRE: dict[str, Any] = {
    "trust_domain": "prod.example.org",
    "jwt_issuer": "https://oidc.example.org",
    "roles": [{"name": "orders", "path": "/ns/eshop/sa/orders"}],
}
PARTNER: dict[str, Any] = {
    "trust_domain": "other.example.org",
    "bundle_endpoint": "https://spire.other.example.org:8443",
    "roles": [{"name": "nightly", "path": "/ns/x/sa/nightly"}],
}
CA: dict[str, Any] = {"issuer_ca": {"config_map": "sso-ca"}}
TWO: dict[str, Any] = {
    "other_issuers": {
        "vendors": {
            "issuer": "https://vendors.example.org:8443/realms/v",
            "clients": ["v"],
            "ca": {"config_map": "v", "key": "v.pem"},
        }
    },
    "roles": [*SPEC["roles"], {"name": "vendor", "issuer": "vendors"}],
}
MODES: list[dict[str, Any]] = [
    {"mode": "service"},
    {"mode": "sidecar"},
    {"certificates": "secret", "monitoring": True, "alerts_page": "https://docs.example.org/alerts"},
    {"certificates": "external", "external": {"store": "s", "path": "a/b"}, "storage_class": "fast"},
    {"mode": "sidecar", "monitoring": True, "resources": {"cpu": "500m", "memory": "2Gi"}, **CA},
    {"mesh": "istio", "mesh_clients": ["eshop/web"]},
    {"mesh": "linkerd", "monitoring": True, **WORKLOADS},
    {"mesh": "istio", **WORKLOADS},
    {"spire": SPIRE, **CA},
    {"spire": {**SPIRE, "federated": PARTNER}, "mesh": "linkerd"},
    TWO,
    {**TWO, **WORKLOADS, "mode": "service"},
    {"namespace_exists": True},
]
"""Specs that have all that there is to be said."""


@pytest.mark.parametrize("mode", MODES)
def test_nothing_of_the_example_is_left(mode: dict[str, Any]) -> None:
    rendered = made(**mode)
    text = json.dumps(rendered.objects)
    for left in (
        "databases.svc",
        "sso.example.com",
        'appdb"',
        "app_readonly",
        '"db:pg"',
        'reached-as": "pg"',
        "pg.databases.",
    ):
        assert left not in text
    for left in (
        "ns/databases",
        ".databases.",
        '"databases"}',
        'namespace=\\"databases',
        'prod.example"',
        "partner.example",
    ):
        assert left not in text
    assert {each["metadata"].get("namespace", "shop") for each in rendered.objects} == {"shop"}
    assert [str(found) for found in check_text(rendered.text()) if found.counts] == []


def test_what_the_spec_says_is_there() -> None:
    rendered = made(mode="sidecar", instances=5, storage="1Ti", images={"service": "r/pgbearer:1@sha256:" + "0" * 64})
    cluster = one(rendered, "Cluster")
    assert cluster["metadata"]["name"] == "orders"
    assert (cluster["spec"]["instances"], cluster["spec"]["storage"]) == (5, {"size": "1Ti"})
    assert "r/pgbearer:1@sha256:000" in cluster["metadata"]["annotations"]["cnpg.io/podPatch"]
    assert cluster["spec"]["postgresql"]["pg_hba"] == [
        "hostssl all breakglass all cert",
        f"hostssl all +pgbearer_people all {OAUTH}",
        "host replication all all reject",
        "host all all all reject",
    ]
    assert [role["name"] for role in cluster["spec"]["managed"]["roles"]] == [
        "pgbearer_people",
        "orders_reader",
        "breakglass",
    ]


@pytest.mark.parametrize(
    ("inherits", "said"), [(["pg_read_all_data"], True), (["orders_base"], True), (["orders_plain"], None), ([], None)]
)
def test_a_rule_says_that_its_role_is_privileged(inherits: list[str], said: bool | None) -> None:
    """The service gives no role that the catalog calls so, be it by way of another, unless its rule says it."""
    others = [{"name": "orders_base", "inherits": ["pg_monitor"]}, {"name": "orders_plain"}]
    rendered = made(roles=[{"name": "orders_reader", "inherits": inherits}, *others])
    rules = yaml.safe_load(one(rendered, "ConfigMap")["data"]["pgbearer.yaml"])["rules"]
    (rule,) = (each for each in rules if each["roles"] == ["orders_reader"])
    assert rule.get("privileged") is said


def test_who_lets_people_in_beside_oauth_says_so() -> None:
    (said,) = refused(mode="sidecar", lines=[PASSWORD])
    assert " lines[0]: named_beside_oauth: " in said
    assert said.endswith("write it under insecure_lines if that is meant")
    assert PASSWORD in one(made(mode="sidecar", insecure_lines=[PASSWORD]), "Cluster")["spec"]["postgresql"]["pg_hba"]
    made(mode="sidecar", lines=["hostssl orders etl all cert", "host all all 192.0.2.0/24 reject"])


NO_NAMES: tuple[Any, ...] = ("1pg", "a.b", "-a", "a-", "\uff50g", "p\u200bg", "pg\u202e", 1, None, [])


def test_the_longest_names_are_taken_everywhere() -> None:
    rendered = made(name="a" * 50, namespace="b" * 63, mesh="istio", **WORKLOADS)
    for each in rendered.objects:
        assert len(each["metadata"]["name"]) <= 253
        assert len(each["spec"].get("commonName", "") if "spec" in each else "") <= 64, each["metadata"]["name"]


def test_two_clusters_share_no_object_of_all_of_kubernetes() -> None:
    def names(**change: Any) -> set[str]:
        objects = made(spire=SPIRE, **change).objects
        return {each["metadata"]["name"] for each in objects if each["kind"] == "ClusterSPIFFEID"}

    assert not names(namespace="a-b", name="c") & names(namespace="a", name="b-c")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("one", "other"), [("orders", "bills"), ("pg", "orders"), ("orders", "orders-eu")])
def test_two_clusters_of_one_namespace_have_nothing_in_common(mode: dict[str, Any], one: str, other: str) -> None:
    """But what is the same for both: the namespace itself, and what is said of it or of a trust domain."""
    first, second = made(**mode, name=one), made(**mode, name=other)
    assert [str(found) for found in check_text(f"{first.text()}---\n{second.text()}") if found.counts] == []
    chosen = [
        {json.dumps(labels) for each in rendered.objects if (labels := _selected(each))} for rendered in (first, second)
    ]
    assert not chosen[0] & chosen[1]


def _selected(manifest: dict[str, Any]) -> Any:
    """Which pods an object is for, if it is for some."""
    spec = manifest.get("spec", {})
    selector = spec.get("selector") or spec.get("podSelector") or {}
    return selector.get("matchLabels", selector) if manifest["kind"] != "Cluster" else {}


def test_the_name_that_ships_keeps_the_names_that_ship() -> None:
    (service,) = (each["metadata"]["name"] for each in made(name="pg").objects if each["kind"] == "Service")
    assert service == "pgbearer"
    (service,) = (each["metadata"]["name"] for each in made(name="orders").objects if each["kind"] == "Service")
    assert service == "orders-pgbearer"


@pytest.mark.parametrize(
    ("issuer", "page"),
    [
        ("https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0", "entra"),
        ("https://example.okta.com/oauth2/default", "okta"),
        ("https://notokta.com", "index"),
        ("https://token.actions.githubusercontent.com", "github-actions"),
    ],
)
def test_an_issuer_that_is_no_realm_is_told_its_page(issuer: str, page: str) -> None:
    """The policy goes by roles as Keycloak's tokens have them: nobody of another issuer would get in."""
    (said,) = refused(issuer=issuer)
    assert "nobody would get in" in said
    assert said.endswith(f"docs/profiles/{page}.md")
    assert (Path(__file__).parents[2] / "docs" / "profiles" / f"{page}.md").is_file()
    more = {"other_issuers": {"b": {"issuer": issuer, "clients": ["b"]}}}
    (said,) = refused(**more, roles=[*SPEC["roles"], {"name": "b", "issuer": "b"}])
    assert " other_issuers.b.issuer: no realm" in said


@pytest.mark.parametrize(("mode", "name"), [("service", "orders-pgbearer"), ("sidecar", "orders")])
def test_an_issuer_at_another_port_is_reached(mode: str, name: str) -> None:
    change = {**TWO, "issuer": "https://sso.example.org:8443/realms/corp"}
    other = {"vendors": {**TWO["other_issuers"]["vendors"], "issuer": "https://v.example.org:9443/realms/v"}}

    def reached(**said: Any) -> dict[str, set[int]]:
        policies = {
            each["metadata"]["name"]: each["spec"].get("egress", [])
            for each in made(mode=mode, **said).objects
            if each["kind"] == "NetworkPolicy"
        }
        return {
            each: {
                port["port"] for rule in rules if any("ipBlock" in to for to in rule["to"]) for port in rule["ports"]
            }
            for each, rules in policies.items()
        }

    before, after = reached(), reached(**{**change, "other_issuers": other})
    assert after == {each: ports | ({8443, 9443} if each == name else set()) for each, ports in before.items()}
    assert reached(issuer="https://sso.example.org:443/realms/corp") == before


NOTED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"images": {"service": "r/p:1"}}, ["images.module"]),
    ({"images": ...}, ["images.service", "images.module"]),
    ({"issuer": "https://keycloak.sso.svc:8443/realms/corp"}, ["issuer"]),
    ({"issuer": "https://keycloak.sso.svc.cluster.local/realms/corp"}, ["issuer"]),
    ({"issuer": "https://keycloak/realms/corp"}, ["issuer"]),
    ({"issuer": "https://svc.example.org/realms/corp"}, []),
    ({"monitoring": True}, ["alerts_page"]),
    ({"monitoring": True, "alerts_page": "https://docs.example.org/alerts"}, []),
    ({"alerts_page": "https://docs.example.org/alerts"}, ["alerts_page"]),
    ({"mode": "sidecar", "replicas": 3, "certificates": "secret"}, ["replicas", "certificates"]),
]
"""What is rendered, and which keys something is said of."""


@pytest.mark.parametrize(("change", "paths"), NOTED)
def test_what_is_to_be_known_is_said(change: dict[str, Any], paths: list[str]) -> None:
    said = list(map(str, made(**{"images": {"service": "r/p:1", "module": "r/m:1-18-trixie"}, **change}).notes))
    assert sorted(map(_path, said)) == sorted(paths), said
    assert all(" notice: " in each and each.startswith("s.yaml:") for each in said)


def test_alerts_are_of_the_cluster_and_lead_to_the_page_of_the_spec() -> None:
    def rules(**change: Any) -> list[dict[str, Any]]:
        (group,) = one(made(monitoring=True, **change), "PrometheusRule")["spec"]["groups"]
        found: list[dict[str, Any]] = group["rules"]
        return found

    page = "https://docs.example.org/alerts"
    (gone, *_) = rules()
    assert gone["expr"] == 'absent(pgbearer_ready{namespace="shop", job=~"shop/(orders-pgbearer|orders)"})'
    assert gone["labels"]["postgresql_cluster"] == "orders"
    assert "of orders in shop;" in gone["annotations"]["summary"]
    names = [
        f"{each['metadata']['namespace']}/{each['metadata']['name']}"
        for each in made(monitoring=True).objects
        if each["kind"] == "PodMonitor"
    ]
    assert all(re.fullmatch(r"shop/(orders-pgbearer|orders)", name) for name in names)
    links = [rule["annotations"]["runbook_url"] for rule in rules(alerts_page=page)]
    assert links == [f"{page}#{rule['alert'].lower()}" for rule in rules()]


def test_a_namespace_that_exists_is_left_alone() -> None:
    with_it, without = made(), made(namespace_exists=True)
    assert [each for each in with_it.objects if each["kind"] != "Namespace"] == without.objects
    assert one(with_it, "Namespace")


@pytest.mark.parametrize(("mode", "image"), [("sidecar", "service"), ("service", "service"), ("service", "module")])
def test_what_is_wrong_with_an_image_is_told_where_the_spec_has_it(mode: str, image: str) -> None:
    said = refused(mode=mode, images={image: "r/x:latest"})
    assert set(map(_path, said)) == {f"images.{image}"}, said


def test_errors_are_in_the_order_of_the_lines() -> None:
    text = "version: 1\nstorage: lots\nissuer: https://x\nroles: [{name: a}]\ninstances: 0\naudience: a b\n"
    with pytest.raises(ConfigError) as caught:
        render(decode_spec(text, "s.yaml"))
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines, key=lambda line: line or 0)
    assert len(lines) >= 3


LOOK_LIKE_OTHERS = (
    "0123456789",
    "1e5",
    "1_000",
    "1:30",
    "y",
    "NO",
    "0x1f",
    "2026-01-01",
    ".5",
    "12",
    "true",
    "null",
    "~",
)


@pytest.mark.parametrize("text", LOOK_LIKE_OTHERS)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    """What is quoted in the spec is quoted in what is made: some reader would take it for a number or a truth."""
    rendered = made(clients=[text], roles=[{"name": "orders_reader", "given_by": [text]}])
    policy = parse_yaml(one(rendered, "ConfigMap")["data"]["pgbearer.yaml"])
    assert policy.problems == []
    assert policy.value["issuers"]["corp"]["clients"] == (text,)
    assert policy.value["rules"][0]["any_role"] == (text,)


@pytest.mark.parametrize("name", ["y", "n", "on"])
def test_a_name_that_looks_like_a_truth_stays_text(name: str) -> None:
    rendered = made(name=name, namespace="1e5")
    assert parse_yaml(one(rendered, "ConfigMap")["data"]["pgbearer.yaml"]).problems == []
    documents = parse_documents(rendered.text(), depth=64)
    assert [str(problem) for document in documents for problem in document.problems] == []
    assert {each.value["metadata"].get("namespace", "1e5") for each in documents} == {"1e5"}


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"issuer": ..., "roles": ...}, ["issuer", "roles"]),
    ({"nmae": "x"}, ["nmae"]),
    ({"version": 2}, ["version"]),
    ({"version": True}, ["version"]),
    ({"lines": ["hostssl orders orders_reader all cert"]}, ["lines[0]"]),
    ({"lines": ["hostssl orders etl all cert", "hostssl all postgres all cert"]}, ["lines[1]"]),
    ({"name": "Pg", "namespace": "a_b"}, ["name", "namespace"]),
    ({"name": "a" * 51, "namespace": "a" * 64}, ["name", "namespace"]),
    *(({"name": each}, ["name"]) for each in NO_NAMES),
    *(({"name": each}, ["name"]) for each in ("pgbearer", "orders-pgbearer")),
    *(({"audience": each}, ["audience"]) for each in ("${podselector:x}", "db:{x}", "db:$x", 'a"b', "a\\b", "")),
    ({"clients": ["a", "${x:y}"]}, ["clients[1]"]),
    ({"lines": ["host all all ${podselector:a} reject"], "insecure_lines": ["hostssl all x all cert # ${a:b}"]},
     ["lines[0]", "insecure_lines[0]"]),
    *(({"certificates": "external", "external": {"path": each}}, ["external.path"]) for each in (
        "../..", "a/../b", "/a", "a/", "a//b", ".", "a/.", "")),
    *(({"namespace": each}, ["namespace"]) for each in ("default", "kube-system", "cnpg-system", "a.b", "a/b", "")),
    ({"storage_class": "a" * 254}, ["storage_class"]),
    ({"issuer_ca": {"config_map": "A", "key": "../x"}}, ["issuer_ca.config_map", "issuer_ca.key"]),
    ({"name": "рg"}, ["name"]),
    ({"name": ""}, ["name"]),
    ({"name": "pg\n"}, ["name"]),
    ({"issuer": 'https://x" trust'}, ["issuer"]),
    *(({"issuer": each}, ["issuer"]) for each in (
        "http://sso.example.org", "https://", "https://x?y", "https://x#y", "https://a@b", "https://x/\u202e", "https://x:99999",
        "https://x:0", "https://:1", "https://[x", "https://a..b", "https://*.b", "https://a,b", "https://-a", "https://$(a)")),
    ({"audience": "db:pg\nhost all all all trust"}, ["audience"]),
    ({"audience": "db pg"}, ["audience"]),
    ({"database": "postgres"}, ["database"]),
    ({"database": "template1"}, ["database"]),
    ({"break_glass": "streaming_replica"}, ["break_glass"]),
    ({"roles": [{"name": "pg_x"}, {"name": "postgres"}]}, ["roles[0].name", "roles[1].name"]),
    ({"roles": [{"name": "pgbearer_people"}]}, ["roles[0].name"]),
    ({"roles": [{"name": "a"}, {"name": "a"}, {"name": "breakglass"}]}, ["roles[1].name", "roles[2].name"]),
    ({"roles": []}, ["roles"]),
    *(({"roles": [{"name": each}]}, ["roles[0].name"]) for each in (
        "streaming_replica", "cnpg_pooler_pgbouncer", "app", "public", "all", "pgbearer_workloads", "A", "a b",
        "a" * 64, "\u0430dmin", "a\n", "")),
    *(({"roles": [{"name": "a", "inherits": [each]}]}, ["roles[0].inherits[0]"]) for each in (
        "postgres", "cnpg_metrics_exporter", "pgbearer_people", "pg_execute_server_program", "pg_write_server_files")),
    ({"roles": [{"name": "a", "inherits": ["breakglass"]}]}, ["roles[0].inherits", "spec.managed.roles[1]"]),
    ({"roles": [{"name": "a", "inherits": ["b", "b"]}]}, ["roles[0].inherits"]),
    ({"roles": [{"name": "a", "inherits": ["b"]}, {"name": "b", "inherits": ["a"]}]}, ["roles"]),
    ({"roles": [{"name": "a", "inherits": ["a"]}]}, ["roles"]),
    ({"roles": [{"name": "a", "issuer": "x"}]}, ["roles", "roles[0].issuer"]),
    ({"other_issuers": {"Corp": {"issuer": "https://b", "clients": ["b"]}}}, ["other_issuers.Corp"]),
    ({"other_issuers": {"corp": {"issuer": "https://b", "clients": ["b"]}}}, ["other_issuers.corp"]),
    ({"other_issuers": {"b": {"issuer": SPEC["issuer"], "clients": ["b"]}}},
     ["other_issuers.b", "other_issuers.b.issuer"]),
    ({"mesh": "istio", **WORKLOADS}, ["mesh", "workloads"]),
    ({"mesh": "cilium"}, ["mesh"]),
    *(({"issuer": each}, ["issuer"]) for each in (
        "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0", "https://accounts.google.com",
        "https://example.okta.com/oauth2/default", "https://sso.example.org/realms/", "https://sso.example.org/realms/a/b",
        "https://sso.example.org/realms")),
    ({"mesh_clients": ["shop/orders"]}, ["mesh_clients"]),
    *(({"mesh_clients": [each]}, ["mesh_clients[0]"]) for each in ("shop", "shop-/a", "shop/a..b", "../a", "shop/..")),
    ({"external": {"store": "x"}}, ["external"]),
    ({"certificates": "given"}, ["certificates"]),
    ({"resources": {"cpu": "0", "memory": "1", "gpu": 1}}, ["resources.cpu", "resources.gpu", "resources.memory"]),
    ({"lines": [PASSWORD], "roles": [{"name": "a"}, {"name": "a"}]}, ["lines[0]", "roles[1].name"]),
    ({"instances": 0, "replicas": 99, "storage": "lots"}, ["instances", "replicas", "storage"]),
    ({"images": {"service": "a b", "other": "x"}}, ["images.other", "images.service"]),
    ({"images": {"service": "r/x@sha256:abc", "module": "r/x:", "postgres": "r/../x:1"}},
     ["images.module", "images.postgres", "images.service"]),
    ({"lines": ["hostnossl app x all trust"]}, ["lines[0]"]),
    ({"lines": ["host all all all trust"]}, ["lines[0]", "spec.postgresql.pg_hba[2]", "spec.postgresql.pg_hba[4]"]),
    ({"lines": ["local all all\nhost all all all trust"]}, ["lines[0]"]),
    ({"lines": ["hostssl all all"]}, ["lines[0]"]),
    ({"insecure_lines": ["hostssl all all"]}, ["insecure_lines[0]"]),
    ({"insecure_lines": ["include /etc/x"]}, ["insecure_lines[0]"]),
    ({"insecure_lines": ["hostssl all all all cert \\"]}, ["insecure_lines[0]"]),
    ({"insecure_lines": ["host all all all reject"]}, ["spec.postgresql.pg_hba[2]", "spec.postgresql.pg_hba[4]"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "paths"), REFUSED)
def test_what_is_refused(change: dict[str, Any], paths: list[str]) -> None:
    said = refused(mode="sidecar", **change)
    assert set(map(_path, said)) == set(paths), said


def _path(line: str) -> str:
    """Without the place in the file."""
    words = line.split(" ")
    return (words[1] if words[0].startswith("s.yaml:") else words[0]).rstrip(":")


OF_SERVICE: list[tuple[dict[str, Any], list[str]]] = [
    ({**WORKLOADS, "spire": SPIRE}, ["spire", "spire.roles[0].name"]),
    ({"workloads": {"roles": [{"name": "orders_reader", "service_account": "a/b"}]}}, ["workloads.roles[0].name"]),
    ({"workloads": {"roles": [{"name": "x", "service_account": 'a/b" || true'}]}},
     ["workloads.roles[0].service_account"]),
    ({"workloads": {"roles": []}}, ["workloads.roles"]),
    *(({"spire": {**SPIRE, "roles": [{"name": "x", "path": each}]}}, ["spire.roles[0].path"]) for each in (
        "", "/", "a", "/a/../b", '/a" || "', "/a//b", "/a\n")),
    *(({"spire": {**SPIRE, "trust_domain": each}}, ["spire.trust_domain"]) for each in ("A/b", "a..b", "a.-b")),
    ({"spire": {**SPIRE, "federated": {**PARTNER, "bundle_endpoint": "http://x"}}},
     ["spire.federated.bundle_endpoint"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "paths"), OF_SERVICE)
def test_what_is_refused_of_workloads(change: dict[str, Any], paths: list[str]) -> None:
    said = refused(**change)
    assert set(map(_path, said)) == set(paths), said


@pytest.mark.parametrize("text", ["", "{", "[]", "a: &x 1", "version: 1\nversion: 1", "\x00", "x: " + "[" * 99])
def test_no_spec_at_all(text: str) -> None:
    with pytest.raises(ConfigError):
        render(decode_spec(text, "s.yaml"))


TOGETHER: list[tuple[dict[str, Any], list[str]]] = [
    ({"instances": 99, "lines": ["host all all all trust"], "mesh_clients": ["a/b"]},
     ["instances", "lines[0]", "mesh_clients"]),
    ({"issuer": "http://x", "insecure_lines": ["hostssl all all"], "external": {"store": "x"}},
     ["issuer", "insecure_lines[0]", "external"]),
    ({**WORKLOADS, "spire": SPIRE, "lines": ["host all all all trust"]}, ["spire", "spire.roles[0].name", "lines[0]"]),
    # what is said of one that is wrong already is not said again of those that are held against it
    ({"other_issuers": {"b": {}}, "roles": [{"name": "x"}, {"name": "y", "issuer": "b"}]},
     ["other_issuers.b.issuer", "other_issuers.b.clients"]),
    ({"mesh": "other", "mesh_clients": ["a/b"]}, ["mesh"]),
    ({"roles": [], "lines": ["hostssl all x all cert"]}, ["roles"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "paths"), TOGETHER)
def test_all_that_is_wrong_is_told_at_once(change: dict[str, Any], paths: list[str]) -> None:
    said = refused(**change)
    assert set(map(_path, said)) == set(paths), said


words = st.text(max_size=30) | st.sampled_from(
    ["a", "b_c", "https://a.example", "a/b", "/a", "a.example", "all", '"', "\\", "x y", "host all all all trust"]
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODES), st.fixed_dictionaries({}, optional={
    "namespace": words, "mesh_clients": st.lists(words, max_size=2), "storage_class": words,
    "other_issuers": st.dictionaries(words, st.fixed_dictionaries({"issuer": words, "clients": st.lists(words)})),
    "workloads": st.fixed_dictionaries({"roles": st.lists(st.fixed_dictionaries({
        "name": words, "service_account": words}), max_size=2)}),
    "spire": st.fixed_dictionaries({"trust_domain": words, "jwt_issuer": words, "roles": st.lists(
        st.fixed_dictionaries({"name": words, "path": words}), max_size=2)}),
    "images": st.fixed_dictionaries({}, optional={"service": words, "module": words}),
    "name": words, "issuer": words, "audience": words, "database": words, "break_glass": words,
    "lines": st.lists(words, max_size=2), "clients": st.lists(words, max_size=2),
    "roles": st.lists(st.fixed_dictionaries({"name": words}), max_size=2),
}))  # fmt: skip
def test_whatever_is_rendered_lets_nobody_in_beside_oauth(mode: dict[str, Any], change: dict[str, Any]) -> None:
    try:
        rendered = made(**{**mode, **change})
    except ConfigError:
        return
    images = [change.get("images", {}).get("service", Images().service)]
    assert [str(found) for found in check_text(rendered.text(), images=images) if found.counts] == []


def test_folders_are_of_the_checkout() -> None:
    from pgbearer.cnpg import shipped

    assert shipped.folder() == Path(__file__).parents[2] / "cnpg"
