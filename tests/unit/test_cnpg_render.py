"""What `pgbearer cnpg render` makes of a spec, and what it refuses with nothing written."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.cnpg import check_text
from pgbearer.cnpg.render import Rendered, render
from pgbearer.cnpg.spec import Spec, decode_spec
from pgbearer.config import ConfigError

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


def spec(**change: Any) -> Spec:
    return decode_spec(
        json.dumps({name: value for name, value in (SPEC | change).items() if value is not ...}), "s.yaml"
    )


def made(**change: Any) -> Rendered:
    return render(spec(**change), "s.yaml")


def refused(**change: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        made(**change)
    return [str(problem) for problem in caught.value.problems]


def one(rendered: Rendered, kind: str) -> dict[str, Any]:
    (found,) = (each for each in rendered.objects if each["kind"] == kind)
    return found


MODES = [{"mode": "service"}, {"mode": "service", "certificates": "given"}, {"mode": "sidecar"}]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_of_the_example_is_left(mode: dict[str, str]) -> None:
    rendered = made(**mode)
    text = json.dumps(rendered.objects)
    for left in ("databases.svc", "sso.example.com", 'appdb"', "app_readonly", '"db:pg"', '"cnpg.io/cluster": "pg"'):
        assert left not in text
    assert {each["metadata"].get("namespace", "shop") for each in rendered.objects} == {"shop"}
    assert check_text(rendered.text()) == []


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


def test_who_lets_people_in_beside_oauth_says_so() -> None:
    (said,) = refused(mode="sidecar", lines=[PASSWORD])
    assert said.startswith("lines[0]: named_beside_oauth: ")
    assert said.endswith("write it under insecure_lines if that is meant")
    assert PASSWORD in one(made(mode="sidecar", insecure_lines=[PASSWORD]), "Cluster")["spec"]["postgresql"]["pg_hba"]
    made(mode="sidecar", lines=["hostssl orders etl all cert", "host all all 192.0.2.0/24 reject"])


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"issuer": ..., "roles": ...}, ["issuer", "roles"]),
    ({"nmae": "x"}, ["nmae"]),
    ({"version": 2}, ["version"]),
    ({"name": "Pg", "namespace": "a_b"}, ["name", "namespace"]),
    ({"name": "a" * 51}, ["name"]),
    ({"name": "рg"}, ["name"]),
    ({"name": ""}, ["name"]),
    ({"name": "pg\n"}, ["name"]),
    ({"issuer": 'https://x" trust'}, ["issuer"]),
    ({"issuer": "http://sso.example.org"}, ['["pgbearer.yaml"].issuers.corp.issuer', "spec.postgresql.pg_hba[1]"]),
    ({"audience": "db:pg\nhost all all all trust"}, ["audience"]),
    ({"audience": "db pg"}, ["audience"]),
    ({"database": "postgres"}, ["database"]),
    ({"database": "template1"}, ["database"]),
    ({"break_glass": "streaming_replica"}, ["break_glass"]),
    ({"roles": [{"name": "pg_x"}, {"name": "postgres"}]}, ["roles[0].name", "roles[1].name"]),
    ({"roles": [{"name": "pgbearer_people"}]}, ["roles[0].name"]),
    ({"roles": [{"name": "a"}, {"name": "a"}, {"name": "breakglass"}]}, ["roles[1].name", "roles[2].name"]),
    ({"roles": []}, ["roles"]),
    ({"instances": 0, "replicas": 99, "storage": "lots"}, ["instances", "replicas", "storage"]),
    ({"images": {"service": "a b", "other": "x"}}, ["images.other", "images.service"]),
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


@pytest.mark.parametrize("text", ["", "{", "[]", "a: &x 1", "version: 1\nversion: 1", "\x00", "x: " + "[" * 99])
def test_no_spec_at_all(text: str) -> None:
    with pytest.raises(ConfigError):
        decode_spec(text, "s.yaml")


words = st.text(max_size=30) | st.sampled_from(["a", "all", '"', "\\", "x y", "host all all all trust"])


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional={
    "name": words, "issuer": words, "audience": words, "database": words, "break_glass": words,
    "lines": st.lists(words, max_size=2), "clients": st.lists(words, max_size=2),
    "roles": st.lists(st.fixed_dictionaries({"name": words}), max_size=2),
}))  # fmt: skip
def test_whatever_is_rendered_lets_nobody_in_beside_oauth(change: dict[str, Any]) -> None:
    try:
        rendered = made(mode="sidecar", **change)
    except ConfigError:
        return
    assert check_text(rendered.text()) == []


def test_folders_are_of_the_checkout() -> None:
    from pgbearer.cnpg import shipped

    assert shipped.folder() == Path(__file__).parents[2] / "cnpg"
