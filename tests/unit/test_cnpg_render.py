"""What `pgbearer cnpg render` makes of a spec."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.cnpg import check_text
from pgbearer.cnpg.written import written
from pgbearer.config.yaml_file import parse_documents, parse_yaml
from tests.unit.render_samples import MODES, OAUTH, OKTA, PASSWORD, SPIRE, TWO, WORKLOADS, made, one, path_of, refused


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


def test_a_config_map_to_trust_by_is_of_one_cluster_and_no_secret_says_it() -> None:
    rendered = made(trust_config_map=True)
    volumes = one(rendered, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (of_service,) = (each["projected"]["sources"] for each in volumes if each["name"] == "tls")
    for secret, trusted in (of_service, one(rendered, "Cluster")["spec"]["projectedVolumeTemplate"]["sources"]):
        assert trusted["configMap"]["name"] == "orders-pgbearer-trust"
        assert {item["key"] for item in secret["secret"]["items"]} == {"tls.crt", "tls.key"}


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
    ({"trust_config_map": True}, ["trust_config_map"]),
    ({"trust_config_map": False, "mode": "sidecar"}, []),
]
"""What is rendered, and which keys something is said of."""


@pytest.mark.parametrize(("change", "paths"), NOTED)
def test_what_is_to_be_known_is_said(change: dict[str, Any], paths: list[str]) -> None:
    said = list(map(str, made(**{"images": {"service": "r/p:1", "module": "r/m:1-18-trixie"}, **change}).notes))
    assert sorted(map(path_of, said)) == sorted(paths), said
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


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n \t:#-'\"|>\\{[$")))
@settings(deadline=None)
def test_text_of_several_lines_stays_the_same(text: str) -> None:
    """However it is written: as a block, or escaped where a block cannot hold it."""
    value = {"a": text, "b": [{"c": text}, text], "d": {"e": {"f": text}}}
    assert yaml.safe_load(written(value)) == value


def test_what_is_written_for_kustomize_can_be_read() -> None:
    """Each patch as a block."""
    rendered = made(mode="service", lines=["host all all 192.0.2.0/24 reject"])
    lines = written(list(rendered.patches)).splitlines()
    assert not any("\\n" in line for line in lines)
    assert sum(line.endswith("patch: |") for line in lines) == len(rendered.patches)
    assert "      - host all all 192.0.2.0/24 reject" in lines


def test_the_policy_can_be_read_in_the_stream() -> None:
    lines = made(**OKTA).text().splitlines()
    assert "  pgbearer.yaml: |" in lines
    assert not any("\\n" in line for line in lines if "podPatch" not in line)


def test_folders_are_of_the_checkout() -> None:
    from pgbearer.cnpg import shipped

    assert shipped.folder() == Path(__file__).parents[2] / "cnpg"
