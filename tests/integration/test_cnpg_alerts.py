"""The alerts on made-up series, judged by Prometheus' own promtool: when each fires, and when it does not."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cnpg.manifests import CNPG, with_components
from tests.parts.debian import INSIDE, PROMETHEUS, DebianRoot

A = {"namespace": "anywhere", "pod": "a", "job": "whatever", "endpoint": "http"}
"""The labels of a pod that is measured, in no namespace and by no job that the rules name."""
B = A | {"pod": "b"}
JOB = {name: A[name] for name in ("namespace", "job")}
FALLS = "1x5 0x60"
"""A sample each minute: good for the first six, bad from then on."""
GOOD = "1x200"
LEAPS = "0x20 30x60"


@dataclass(frozen=True)
class Case:
    """What is measured, until when the alert says nothing, when it does, and of what."""

    alert: str
    series: dict[str, str]
    quiet: str
    fires: str
    about: dict[str, str]


def series(metric: str, of: dict[str, str] = A, **labels: str) -> str:
    said = ", ".join(f'{name}="{value}"' for name, value in (of | labels).items())
    return f"{metric}{{{said}}}"


def fault(reason: str) -> str:
    return series("pgbearer_decisions_total", server="pg", reason=reason)


def bucket(le: str) -> str:
    return series("pgbearer_decision_seconds_bucket", decision="allow", le=le)


OURS = {"namespace": "databases", "pod": "a", "job": "databases/pgbearer"}
BESIDE = OURS | {"job": "databases/orders-pgbearer"}
"""Of another Cluster in the same namespace."""
ISSUER = {"issuer": "corp"}
CASES = [
    Case(
        "PgbearerGone",
        {
            series("pgbearer_ready", OURS): "1x10 stale",
            series("pgbearer_ready", BESIDE): GOOD,
            series("pgbearer_ready"): GOOD,
        },
        "10m",
        "17m",
        {"namespace": "databases"},
    ),
    Case(
        "PgbearerNotMeasured",
        {
            series("up"): FALLS,
            series("up", B): GOOD,
            series("up", A, job="other", pod="of others"): "0x200",
            series("pgbearer_ready", B): GOOD,  # `a` never came as far as to have any
        },
        "14m",
        "17m",
        A,
    ),
    Case("PgbearerNotReady", {series("pgbearer_ready"): FALLS, series("pgbearer_ready", B): GOOD}, "7m", "9m", A),
    Case("PgbearerAuditFails", {series("pgbearer_audit_ok"): FALLS}, "5m", "6m", A),
    Case("PgbearerAuditFails", {series("pgbearer_audit_failures_total"): LEAPS}, "20m", "21m", A),
    Case(
        "PgbearerIssuerAway",
        {series("pgbearer_issuer_keys_age_seconds", A | ISSUER): "0+60x60"},
        "30m",
        "33m",
        A | ISSUER,
    ),
    Case("PgbearerIssuerNotReady", {series("pgbearer_issuer_ready", A | ISSUER): FALLS}, "7m", "9m", A | ISSUER),
    Case(
        "PgbearerFaults",
        {fault("keys_stale"): "0x5 1+1x30", fault("no_rule"): "0+9x60"},
        "6m",
        "10m",
        JOB | {"reason": "keys_stale"},
    ),
    Case("PgbearerSlow", {bucket("1"): "0+1x60", bucket("5"): "0+9x60", bucket("+Inf"): "0+9x60"}, "9m", "13m", JOB),
    Case(
        "PgbearerForgedTokens",
        {fault("signature_invalid"): LEAPS, fault("token_expired"): "0+99x60"},
        "20m",
        "22m",
        JOB,
    ),
    Case("PgbearerPolicyRefused", {series("pgbearer_config_ok"): FALLS}, "10m", "12m", A),
    Case(
        "PgbearerPoliciesDiffer",
        {
            series("pgbearer_config_info", digest="1"): GOOD,
            series("pgbearer_config_info", B, digest="2"): "_x5 1x60",
            series("pgbearer_config_info", A | {"job": "another Cluster's"}, digest="3"): GOOD,
        },
        "14m",
        "17m",
        JOB,
    ),
    Case("PgbearerRevocationsForgotten", {series("pgbearer_revocations_forgotten"): "0x5 2x20"}, "5m", "6m", A),
    Case("PgbearerCertificateRefused", {series("pgbearer_tls_ok"): FALLS}, "10m", "12m", A),
    Case(
        "PgbearerCertificateEnds",
        {
            series("pgbearer_tls_certificate_expires_timestamp_seconds"): f"{14 * 86400 + 3600}x200",
            series("pgbearer_tls_certificate_expires_timestamp_seconds", B): "0x200",  # without listen.tls
        },
        "115m",
        "130m",
        A,
    ),
    Case(
        "PgbearerCallerCertificateEnds",
        {
            series("pgbearer_caller_certificate_expires_timestamp_seconds", server="pg"): f"{14 * 86400 + 3600}x200",
            series("pgbearer_caller_certificate_expires_timestamp_seconds", server="of old"): "3600x200",
            series("pgbearer_caller_certificate_expires_timestamp_seconds", B, server="of old"): f"{99 * 86400}x200",
        },
        "115m",
        "130m",
        JOB | {"server": "pg"},
    ),
    Case(
        "PgbearerStrangers",
        {series("pgbearer_tls_refused_total", reason="unknown"): LEAPS},
        "20m",
        "22m",
        JOB | {"reason": "unknown"},
    ),
]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    made = with_components(tmp_path_factory.mktemp("own"), ["overlays/service"], ["components/monitoring"])
    (group,) = made.one("PrometheusRule", "pgbearer")["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def promtool(folder: Path, rules: list[dict[str, Any]], cases: list[Case]) -> str:
    """What it finds wrong; empty if nothing is."""
    said = {rule["alert"]: rule for rule in rules}
    tests = [
        {
            "name": f"{case.alert} {number}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "alert_rule_test": [
                {"eval_time": case.quiet, "alertname": case.alert, "exp_alerts": []},
                {"eval_time": case.fires, "alertname": case.alert, "exp_alerts": [alert(said[case.alert], case.about)]},
            ],
        }
        for number, case in enumerate(cases)
    ]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "pgbearer", "rules": rules}]}))
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yaml").write_text(yaml.safe_dump(whole))
    folder.chmod(0o755)
    root = DebianRoot.of(PROMETHEUS).with_bind(folder, INSIDE)
    command = root.command("promtool", "test", "rules", f"{INSIDE}/tests.yaml")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def alert(rule: dict[str, Any], about: dict[str, str]) -> dict[str, Any]:
    """Of what it is, as Prometheus will send it: each label that its words name is one that it has."""
    filled = {
        name: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: about[found[1]], text)
        for name, text in rule["annotations"].items()
    }
    return {"exp_labels": about | rule["labels"], "exp_annotations": filled}


def test_they_lead_to_the_readers_copy_of_the_page(rules: list[dict[str, Any]], tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (CNPG.parent / "docs/alerts.md").read_text(), re.DOTALL)
    said = yaml.safe_load(block)
    made = with_components(tmp_path, ["overlays/service"], ["components/monitoring"], **said)
    (group,) = made.one("PrometheusRule", "pgbearer")["spec"]["groups"]
    page = said["replacements"][0]["sourceValue"]
    assert [rule["annotations"]["runbook_url"] for rule in group["rules"]] == [
        f"{page}#{rule['alert'].lower()}" for rule in rules
    ]


def test_each_is_tried(rules: list[dict[str, Any]]) -> None:
    assert {rule["alert"] for rule in rules} == {case.alert for case in CASES}


def test_each_fires_when_it_should_and_not_before(rules: list[dict[str, Any]], tmp_path: Path) -> None:
    assert promtool(tmp_path, rules, CASES) == ""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("PgbearerGone", 'namespace="databases"', 'namespace="elsewhere"'),
        ("PgbearerGone", 'job=~"databases/(pgbearer|pg)"', 'job!=""'),
        ("PgbearerPoliciesDiffer", "(namespace, job) (count", "(namespace) (count"),
        ("PgbearerCallerCertificateEnds", "max by (namespace, job, server)", "min by (namespace, job, server)"),
        ("PgbearerNotMeasured", "(namespace, job, endpoint)", "(namespace, pod)"),
        ("PgbearerIssuerAway", "1800", "3600"),
        ("PgbearerFaults", "keys_stale|", ""),
        ("PgbearerCertificateEnds", " > 0", " > -1"),
    ],
)
def test_a_rule_that_is_wrong_is_seen(
    name: str, old: str, new: str, rules: list[dict[str, Any]], tmp_path: Path
) -> None:
    (right,) = (rule for rule in rules if rule["alert"] == name)
    assert old in right["expr"]
    wrong = {**right, "expr": right["expr"].replace(old, new)}
    said = promtool(tmp_path, [wrong], [case for case in CASES if case.alert == name])
    assert "FAILED" in said, said


def test_each_leads_to_its_part_of_the_page(rules: list[dict[str, Any]]) -> None:
    page = (CNPG.parent / "docs" / "alerts.md").read_text()
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == [rule["alert"] for rule in rules]
    for rule in rules:
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/alerts.md#{rule['alert'].lower()}")
