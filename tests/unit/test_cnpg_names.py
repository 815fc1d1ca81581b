"""What is rendered for one Cluster is called otherwise than what is rendered for another, whatever these are called."""

from collections.abc import Iterator
from itertools import product

import pytest
import yaml

from pgbearer.cnpg import shipped
from pgbearer.cnpg.called import CLUSTER, new_names
from pgbearer.cnpg.taken import free_cluster

_OF_THE_SPEC = {"databases", "partner"}
"""Called after the namespace, and after another trust domain, which the spec says."""


def objects() -> Iterator[tuple[str, str]]:
    """The kind and the name of each that ships, but for what an overlay alone has."""
    for part in ("base", "components"):
        for file in sorted((shipped.folder() / part).rglob("*.yaml")):
            for each in yaml.safe_load_all(file.read_text()) if file.name != "kustomization.yaml" else ():
                if isinstance(each, dict) and "kind" in each and each["metadata"]["name"] not in _OF_THE_SPEC:
                    yield f"{each['apiVersion'].partition('/')[0]} {each['kind']}", each["metadata"]["name"]


SHIPPED = sorted(set(objects()))


def around(name: str) -> tuple[str, str]:
    """What stands before and after a Cluster's name in what `name` becomes."""
    before, _, after = new_names([{"metadata": {"name": name}}], "NAME")[name].partition("NAME")
    return before, after


def beyond(longer: str, shorter: str, *, at_the_end: bool) -> str:
    """What `longer` has more than `shorter` in the inside; nothing if it is not the longer one."""
    if len(longer) <= len(shorter):
        return ""
    return longer[: len(longer) - len(shorter)] if at_the_end else longer[len(shorter) :]


def free(name: str) -> bool:
    try:
        return free_cluster(name) == name
    except ValueError:
        return False


PAIRS = [(one, other) for (kind, one), (same, other) in product(SHIPPED, SHIPPED) if kind == same]


def test_there_are_pairs() -> None:
    assert ("pg", "mesh-pg") in PAIRS
    assert len(PAIRS) > 60


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_two_clusters_have_an_object_of_one_name(one: str, other: str) -> None:
    (before, after), (before_other, after_other) = around(one), around(other)
    if not (before.startswith(before_other) or before_other.startswith(before)):
        return
    if not (after.endswith(after_other) or after_other.endswith(after)):
        return
    cluster = f"{beyond(before_other, before, at_the_end=False)}z{beyond(after_other, after, at_the_end=True)}"
    another = f"{beyond(before, before_other, at_the_end=False)}z{beyond(after, after_other, at_the_end=True)}"
    assert f"{before}{cluster}{after}" == f"{before_other}{another}{after_other}"
    assert cluster == another or not free(cluster) or not free(another)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_none_is_called_as_what_ships_for_pg(one: str, other: str) -> None:
    before, after = around(other)
    if not (one.startswith(before) and one.endswith(after) and len(one) > len(before + after)):
        return
    another = one[len(before) : len(one) - len(after)]
    assert another == CLUSTER or not free(another)
