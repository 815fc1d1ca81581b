"""What `pgbearer cnpg render` refuses, with nothing written, and what it says of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.cnpg import Images, check_text
from pgbearer.cnpg.draft import decode_spec
from pgbearer.cnpg.render import render
from pgbearer.config import ConfigError
from tests.unit.render_samples import MODES, PARTNER, PASSWORD, SPEC, SPIRE, WORKLOADS, made, path_of, refused


@pytest.mark.parametrize(("mode", "image"), [("sidecar", "service"), ("service", "service"), ("service", "module")])
def test_what_is_wrong_with_an_image_is_told_where_the_spec_has_it(mode: str, image: str) -> None:
    said = refused(mode=mode, images={image: "r/x:latest"})
    assert set(map(path_of, said)) == {f"images.{image}"}, said


def test_errors_are_in_the_order_of_the_lines() -> None:
    text = "version: 1\nstorage: lots\nissuer: https://x\nroles: [{name: a}]\ninstances: 0\naudience: a b\n"
    with pytest.raises(ConfigError) as caught:
        render(decode_spec(text, "s.yaml"))
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines, key=lambda line: line or 0)
    assert len(lines) >= 3


NO_NAMES: tuple[Any, ...] = ("1pg", "a.b", "-a", "a-", "\uff50g", "p\u200bg", "pg\u202e", 1, None, [])
NO_PROFILES: tuple[Any, ...] = (
    *("Keycloak", "github-actions", "kubernetes", "spiffe", "", "entra\n", "\u0435ntra"),
    *(1, True, []),
)
NO_TRUTHS: tuple[Any, ...] = ("yes", 1, "pgbearer-trust", {})

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
        "https://accounts.google.com", "https://sso.example.org/realms/", "https://sso.example.org/realms/a/b",
        "https://sso.example.org/realms", "https://sso.example.org/realms/a/")),
    *(({"profile": each}, ["profile"]) for each in NO_PROFILES),
    *(({"go_by": each}, ["go_by"]) for each in ("scopes", "role", "", True, ["roles"])),
    *(({"scope": each}, ["scope"]) for each in (
        "", "a b", 'a"b', "a\\b", "a\nhost all all all trust", "${podselector:x}", "{x}", "a\u00a0b", "\u202e",
        "a" * 257)),
    *(({"trust_config_map": each}, ["trust_config_map"]) for each in NO_TRUTHS),
    *(({"other_issuers": {"b": {"issuer": "https://b.example.org/realms/b", "clients": ["b"], **each}},
       "roles": [*SPEC["roles"], {"name": "b", "issuer": "b"}]}, [f"other_issuers.b.{key}" for key in each])
      for each in ({"profile": "x"}, {"scope": "a b"}, {"audience": 'a"b'}, {"go_by": "x"}, {"issuer_ca": "x"})),
    *(({"roles": [{"name": "a", "given_by": each}]}, ["roles[0].given_by"]) for each in ("a", {"a": 1}, ["a"] * 201)),
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
    ({"trust_config_map": True}, ["trust_config_map"]),
    ({"insecure_lines": ["host all all all reject"]}, ["spec.postgresql.pg_hba[2]", "spec.postgresql.pg_hba[4]"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "paths"), REFUSED)
def test_what_is_refused(change: dict[str, Any], paths: list[str]) -> None:
    said = refused(mode="sidecar", **change)
    assert set(map(path_of, said)) == set(paths), said


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
    assert set(map(path_of, said)) == set(paths), said


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
    ({"mode": "sidecar", "mesh": "istio", "workloads": {"roles": [{"name": "w", "service_account": "w"}]}},
     ["workloads.roles[0].service_account"]),
    ({"roles": [], "lines": ["hostssl all x all cert"]}, ["roles"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "paths"), TOGETHER)
def test_all_that_is_wrong_is_told_at_once(change: dict[str, Any], paths: list[str]) -> None:
    said = refused(**change)
    assert set(map(path_of, said)) == set(paths), said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"storage": "10GB"}, "storage: must be a number of Mi, Gi or Ti, such as 10Gi"),
        ({"storage": "10Gi\n"}, "storage: must be a number of"),
        (
            {"resources": {"cpu": "0.5"}},
            "resources.cpu: must be a whole number or one of thousandths, such as 2 or 500m",
        ),
        ({"roles": [{"name": "x", "session": "8 hours"}]}, "session: must be a number of s, m, h or d, such as 8h"),
        ({"mesh": "istio", "mesh_clients": ["orders"]}, "mesh_clients[0]: must be NAMESPACE/NAME, such as shop/orders"),
    ],
)
def test_what_is_written_otherwise_is_answered_with_an_example(change: dict[str, Any], said: str) -> None:
    (told,) = refused(**change)
    assert said in told


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
    "profile": words | st.sampled_from(["keycloak", "entra", "okta", "rfc9068"]), "scope": words, "go_by": words,
    "trust_config_map": st.booleans(),
    "roles": st.lists(st.fixed_dictionaries({"name": words}, optional={"given_by": st.lists(words)}), max_size=2),
}))  # fmt: skip
def test_whatever_is_rendered_lets_nobody_in_beside_oauth(mode: dict[str, Any], change: dict[str, Any]) -> None:
    try:
        rendered = made(**{**mode, **change})
    except ConfigError:
        return
    images = [change.get("images", {}).get("service", Images().service)]
    assert [str(found) for found in check_text(rendered.text(), images=images) if found.counts] == []
