"""Streams that are hostile, half finished, or no manifests: one list of problems, and an end."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.cnpg import CODES, check_text
from pgbearer.hba import MAX_LINES, parse
from tests.unit.cnpg_samples import GOOD, OAUTH, changed, codes, findings, hba

CLUSTER = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["no_cluster"]),
        ("---\n---\n", ["no_cluster"]),
        ("a: b", ["no_cluster"]),
        ("[1, 2]", ["no_cluster"]),
        ("{", ["no_cluster", "not_yaml"]),
        ("\x00", ["no_cluster", "not_yaml"]),
        (CLUSTER + "\n---\n{", ["not_yaml"]),
        (CLUSTER + "\n---\na: 1\na: 2", ["yaml"]),
        (CLUSTER + "\n---\na: &x 1\nb: *x", ["yaml", "yaml"]),
        (CLUSTER + "\n---\na: !!python/object:os.system 1", ["yaml"]),
        (CLUSTER + "\n---\na: {<<: {b: 1}}", ["yaml"]),
        (CLUSTER + "\n---\na: on\nmode: 0440\n5432: x", ["yaml_ambiguous"] * 3),
        (CLUSTER + "\n---\n" + '{"items": [' * 40 + "]}" * 40, ["yaml"]),
        (CLUSTER + "\n---\n" + "[" * 100 + "]" * 100, ["yaml"]),
        (CLUSTER + "\n---\n" + "- 1\n" * 12_001, ["yaml"]),
        (CLUSTER + "\n---\n? [a]\n: b", ["yaml"]),
    ],
)
def test_a_stream(text: str, expected: list[str]) -> None:
    assert sorted(finding.code for finding in check_text(text)) == expected


def test_all_problems_at_once() -> None:
    other = changed(lambda cluster: (cluster["metadata"].update(name="other"), hba()(cluster)))
    found = check_text(f"{json.dumps(changed(hba(OAUTH)))}\n---\n{json.dumps(other)}\n---\na: *x\n---\n{{")
    assert [finding.document for finding in found] == [1, 2, 2, 3, 4]


def test_lines_are_bounded() -> None:
    (wrong,) = parse("host all all all reject\n" * MAX_LINES).wrong
    assert "too long" in wrong.message
    assert "hba_syntax" in codes(changed(hba("x" * 2_000_000)))


@pytest.mark.parametrize("name", ["\u202eevil", "a\nb", "\x1b[2J", "x" * 1_000_000])
def test_a_name_is_shown_in_bounds(name: str) -> None:
    for finding in check_text(json.dumps(changed(lambda cluster: cluster["metadata"].update(name=name)))):
        assert len(str(finding)) < 2000


KEYS = (
    *("bootstrap", "initdb", "postInitSQL", "postInitSQLRefs", "configMapRefs", "import", "recovery", "certificates"),
    *("clientCASecret", "plugins", "envFrom", "externalClusters", "connectionParameters", "services", "additional"),
    *("serviceTemplate", "pgbouncer", "parameters", "cluster", "ca", "secretName", "resources", "verbs", "apiGroups"),
    *("postgresql", "pg_hba", "parameters", "managed", "roles", "extensions", "ldap", "pg_ident", "name", "volumes"),
    *("containers", "template", "spec", "volumeMounts", "configMap", "passwordSecret"),
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.sampled_from([OAUTH, "pgbearer", "all"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(
    st.sampled_from(
        [
            *(f"postgresql.cnpg.io/v1 {kind}" for kind in ("Cluster", "DatabaseRole", "Pooler", "ImageCatalog")),
            *("apps/v1 Deployment", "v1 List", "batch/v1 CronJob", "v1 Service", "v1 ConfigMap", "v1 Secret"),
            *(f"rbac.authorization.k8s.io/v1 {kind}" for kind in ("Role", "RoleBinding")),
            *(f"cert-manager.io/v1 {kind}" for kind in ("Issuer", "Certificate")),
        ]
    ),
    values,
    values,
)
def test_no_shape_breaks_it(what: str, spec: object, metadata: object) -> None:
    group, kind = what.split()
    manifest = {
        "apiVersion": group,
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
        **dict.fromkeys(("data", "stringData", "rules", "roleRef", "subjects"), spec),
        "items": [spec],
    }
    assert {finding.code for finding in findings(GOOD, manifest)} <= set(CODES)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_of_lines(text: str) -> None:
    parsed = parse(text)
    numbers = [*(line.number for line in parsed.lines), *(each.number for each in parsed.wrong)]
    assert all(1 <= number <= text.count("\n") + 1 for number in numbers)
