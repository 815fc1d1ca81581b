"""What a patch of a Cluster's pods does besides adding: nothing is good but to add at the end of one of three lists."""

import json
from typing import Any

import pytest

from pgbearer.cnpg import about_operations
from tests.unit.cnpg_samples import SCRATCH, changed, codes, findings, masked, patch, puts

OTHER = masked({"name": "other", "image": "r/other:1", "securityContext": {"runAsUser": 1000}})
MORE = {"name": "more", "emptyDir": {}}
REPLACED, PATCHED, SHARED = ["pod_replaced"], ["pod_patched"], ["pod_shared"]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("/spec/containers/-", OTHER, []),
        ("/spec/initContainers/-", OTHER, []),
        ("/spec/volumes/-", MORE, []),
        ("/spec/containers/0", OTHER, PATCHED),
        ("/spec/initContainers/0", OTHER, PATCHED),
        ("/spec/volumes/0", MORE, PATCHED),
        ("/spec/ephemeralContainers/-", OTHER, REPLACED),
        # In the operator's containers
        ("/spec/containers/0/command", ["sh"], REPLACED),
        ("/spec/containers/0/Env/-", {"name": "LD_PRELOAD", "value": "/run/x.so"}, REPLACED),
        ("/spec/containers/-1/lifecycle", {}, REPLACED),
        ("/spec/containers/0/livenessProbe", {"exec": {"command": ["sh"]}}, REPLACED),
        ("/spec/containers/0/startupProbe/exec", {"command": ["sh"]}, REPLACED),
        ("/spec/containers/0/securityContext/runAsUser", 0, REPLACED),
        ("/spec/containers/0/ports/-", {"containerPort": 5432, "hostPort": 5432}, REPLACED),
        ("/spec/containers/0/volumeMounts/-", {"name": "x", "mountPath": "/usr/lib"}, REPLACED),
        ("/spec/containers/0/resizePolicy", [], REPLACED),
        ("/spec/containers/0/resources", {}, PATCHED),
        ("/spec/initContainers/0/resources/limits/memory", "1Gi", PATCHED),
        ("/spec/containers", [], REPLACED),
        ("/spec/volumes", [], REPLACED),
        ("/spec/volumes/2/projected/sources/-", {"configMap": {"name": "x"}}, REPLACED),
        # Who the pods are, and what reaches them
        ("/metadata/labels", {}, REPLACED),
        ("/metadata/labels/pgbearer.example~1reached-as", "other", REPLACED),
        ("/metadata/labels/cnpg.io~1cluster", "other", REPLACED),
        ("/metadata/labels/team", "orders", PATCHED),
        ("/metadata/name", "other", REPLACED),
        ("/metadata/annotations", {}, REPLACED),
        ("/metadata/annotations/sidecar.istio.io~1inject", "false", PATCHED),
        ("/spec/serviceAccountName", "other", REPLACED),
        ("/spec/serviceAccount", "other", REPLACED),
        ("/spec/automountServiceAccountToken", True, REPLACED),
        ("/spec/securityContext/runAsUser", 0, REPLACED),
        ("/spec/hostNetwork", True, REPLACED),
        ("/spec/ho\u017ftNetwork", True, REPLACED),
        ("/spec/hostAliases", [], REPLACED),
        ("/spec/dnsConfig/nameservers/-", "192.0.2.1", REPLACED),
        ("/spec/hostUsers", False, REPLACED),
        ("/spec/somethingNew", True, REPLACED),
        ("/spec/shareProcessNamespace", True, SHARED),
        ("/spec/hostPID", True, SHARED),
        ("/spec/hostIPC", True, SHARED),
        ("/spec", {}, REPLACED),
        ("/metadata", {}, REPLACED),
        ("", {}, REPLACED),
        ("/status", {}, REPLACED),
        # Where they run
        ("/spec/tolerations", [], PATCHED),
        ("/spec/affinity/nodeAffinity", {}, PATCHED),
        ("/spec/terminationGracePeriodSeconds", 60, PATCHED),
    ],
)
def test_what_is_added(path: str, value: object, expected: list[str]) -> None:
    assert codes(changed(puts(path, value))) == expected


@pytest.mark.parametrize("op", ["replace", "remove", "move", "copy"])
@pytest.mark.parametrize(
    "path", ["/spec/containers/0", "/spec/containers/-", "/spec/initContainers/0", "/spec/volumes/0"]
)
def test_what_is_not_added_is_changed(op: str, path: str) -> None:
    operation: dict[str, Any] = {"op": op, "path": path, "from": "/spec/containers/1", "value": OTHER}
    assert codes(changed(patch(json.dumps([operation, SCRATCH])))) == REPLACED


def test_a_label_that_is_taken_out_is_told_of() -> None:
    operation = {"op": "remove", "path": "/metadata/labels/pgbearer.example~1reached-as"}
    (found,) = findings(changed(patch(json.dumps([operation]))))
    assert found.code == "pod_replaced"
    assert "/metadata/labels/pgbearer.example/reached-as" in found.message
    assert "NetworkPolicies" in found.message
    assert found.hint.startswith("take it out")


def test_what_only_asks_changes_nothing() -> None:
    assert codes(changed(puts("/spec/containers/0/image", op="test"))) == []


def test_one_check_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about_operations, "CHECKS", ())
    assert codes(changed(puts("/metadata/labels", {}))) == []
