"""Shadow with the real service: a candidate is compared on real logins, and never answers one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.fix_service import Service, Start, write_settings


def pgbearer(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    """`pgbearer policy shadow` as a person runs it."""
    command = [str(Path(sys.executable).with_name("pgbearer")), "policy", "shadow", *words]
    return subprocess.run(
        [*command, f"--socket={service.admin_socket}"], capture_output=True, text=True, timeout=60, check=False
    )


def candidate(service: Service, **changes: Any) -> Path:
    """A file beside the one in force, `changes` replacing its sections."""
    file = service.file.with_name("candidate.yaml")
    write_settings(file, service.issuer, **service.settings | changes)
    return file


def report(service: Service) -> dict[str, Any]:
    """What the command prints for machines."""
    done = pgbearer(service, "report", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_differences_are_counted_listed_and_recorded_and_no_answer_changes(service: Service) -> None:
    rules = [{"name": "writers", "any_role": ["db-read"], "databases": ["appdb"], "roles": ["app_readwrite"]}]
    before = [service.login(role=role)["decision"] for role in ("app_readonly", "app_readwrite")]
    started = pgbearer(service, "start", str(candidate(service, rules=rules)))
    assert started.returncode == 0, started.stderr
    lost, won = (service.login(role=role) for role in ("app_readonly", "app_readwrite"))
    assert [lost["decision"], won["decision"]] == before == ["allow", "deny"]
    found = report(service)
    assert (found["compared"], found["skipped"]) == (2, 0)
    assert found["differing"] == {
        "would_allow": 1, "would_deny": 1, "other_end": 0, "other_reason": 0, "error": 0
    }  # fmt: skip
    assert [one["decision_id"] for one in found["differences"]] == [won["decision_id"], lost["decision_id"]]
    assert {(one["kind"], one["rule"]) for one in found["by_rule"]} == {
        ("would_allow", "writers"),
        ("would_deny", "readers"),
    }
    shown = pgbearer(service, "report", "--limit", "1").stdout
    assert "would_allow" in shown
    assert won["decision_id"] in shown
    assert lost["decision_id"] not in shown
    metrics = service.http("/metrics")[1]
    assert 'pgbearer_shadow_decisions_total{result="would_deny"} 1.0' in metrics
    assert "pgbearer_shadow_running 1.0" in metrics
    assert json.loads(service.http("/readyz")[1])["shadow"]["candidate"] == found["candidate"]
    assert service.admin("/v1/config").body["shadow"]["running"] is True
    assert pgbearer(service, "stop").returncode == 0
    lines = [line for line in service.audit() if line["kind"].startswith("shadow")]
    assert [line["kind"] for line in lines] == ["shadow_start", "shadow_stop"]
    assert lines[1]["differing"] == found["differing"]


def test_it_outlives_a_reload_of_the_file_in_force(service: Service) -> None:
    assert pgbearer(service, "start", str(candidate(service, rules=[]))).returncode == 0
    service.login()
    service.change(limits={"in_flight": 7})
    service.await_line("reloaded")
    service.login()
    found = report(service)
    assert (found["running"], found["differing"]["would_deny"]) == (True, 2)
    assert len({one["policy"] for one in found["differences"]}) == 2


def test_a_candidate_that_cannot_be_used_is_refused_with_all_its_problems(service: Service) -> None:
    broken = {"name": "odd", "databases": ["appdb"], "roles": ["app_readonly"]}
    rules = [{**broken, "when": "clams.acr == 1"}, {**broken, "any_rol": []}]
    done = pgbearer(service, "start", str(candidate(service, rules=rules)))
    assert done.returncode == 2
    assert "clams" in done.stderr
    assert "any_rol" in done.stderr
    assert report(service)["running"] is False
    good = candidate(service)
    good.chmod(0o666)
    done = pgbearer(service, "start", str(good))
    assert done.returncode == 2
    assert "writable by group or others" in done.stderr
    assert pgbearer(service, "start", "/nowhere/candidate.yaml").returncode == 2
    assert service.login()["decision"] == "allow"


def test_one_at_a_time_and_nothing_to_stop_is_said(service: Service) -> None:
    assert pgbearer(service, "stop").returncode == 1
    assert pgbearer(service, "start", str(candidate(service))).returncode == 0
    again = pgbearer(service, "start", str(candidate(service)))
    assert again.returncode == 1
    assert "stop it first" in again.stderr
    assert service.stop() == 0
    assert [line["kind"] for line in service.audit()][-2:] == ["shadow_stop", "stop"]


def test_what_is_settled_before_the_policy_is_said_not_to_be_compared(service: Service) -> None:
    demo = service.settings["issuers"]["demo"]
    file = candidate(service, issuers={"demo": demo | {"max_lifetime": "5m"}})
    assert "issuers.demo is not that of the file in force" in pgbearer(service, "start", str(file)).stdout


def test_it_ends_with_the_service_and_says_so(service: Service, start_service: Start) -> None:
    assert pgbearer(service, "start", str(candidate(service, rules=[]))).returncode == 0
    service.login()
    assert report(service)["compared"] == 1
    assert "running, until it is stopped or the service ends" in pgbearer(service, "report").stdout
    assert service.stop() == 0
    ended = [line for line in service.audit() if line["kind"] == "shadow_stop"]
    assert [(line["why"], line["compared"], line["differing"]["would_deny"]) for line in ended] == [
        ("the service stops", 1, 1)
    ]
    again = start_service()
    assert (report(again)["running"], report(again)["compared"]) == (False, 0)
    said = pgbearer(again, "report").stdout
    assert "none since this service started; what one before it came to is in the audit, kind shadow_stop" in said
