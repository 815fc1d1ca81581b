"""A changed file while the service runs: taken whole, or refused in plain sight."""

import json
from pathlib import Path

from tests.integration.fix_service import Service, Start, write_settings
from tests.issuer import Issuer
from tests.parts.authority import Authority

NOBODY = [{"name": "nobody", "any_role": ["none"], "databases": ["appdb"], "roles": ["app_readonly"]}]
BAD = [{"name": "bad", "any_role": ["x"], "databases": ["appdb"], "roles": ["r"], "when": "clams.acr == 'mfa'"}]


def test_a_changed_file_is_in_force_without_a_signal(service: Service) -> None:
    before = service.login()
    service.change(rules=NOBODY)
    service.await_line("reloaded")
    after = service.login()
    assert (before["decision"], after["reason"]) == ("allow", "no_rule")
    first, last = service.decisions()
    assert first["policy"] != last["policy"]
    (reload,) = [line for line in service.audit() if line["kind"] == "reload"]
    assert (reload["policy_before"], reload["policy"]) == (first["policy"], last["policy"])


def test_sighup_reads_the_file_again(service: Service) -> None:
    service.hang_up()
    service.await_line("reloaded")
    assert service.login()["decision"] == "allow"
    assert "reopen" in [line["kind"] for line in service.audit()]


def test_a_bad_file_is_refused_and_seen_and_the_good_one_stays(service: Service) -> None:
    service.change(rules=BAD)
    service.await_line("the one before stays in force")
    assert service.login()["decision"] == "allow"
    status, page = service.http("/readyz")
    assert status == 200
    config = json.loads(page)["config"]
    assert config["current"] is False
    assert "clams" in config["problems"][0]
    assert "pgbearer_config_ok 0.0" in service.http("/metrics")[1]
    assert 'pgbearer_config_reloads_total{result="refused"} 1.0' in service.http("/metrics")[1]
    service.change(rules=NOBODY)
    service.await_line("reloaded")
    assert service.login()["reason"] == "no_rule"
    assert "pgbearer_config_ok 1.0" in service.http("/metrics")[1]
    assert json.loads(service.http("/readyz")[1])["config"]["problems"] == []


def test_taking_the_change_back_is_a_change(service: Service) -> None:
    good = service.settings["rules"]
    service.change(rules=BAD)
    service.hang_up()
    service.await_line("the one before stays in force")
    service.change(rules=good)
    service.await_line("reloaded")
    assert json.loads(service.http("/readyz")[1])["config"]["current"] is True


def test_a_file_that_goes_away_changes_nothing(service: Service) -> None:
    service.file.unlink()
    service.await_line("the one before stays in force")
    assert service.login()["decision"] == "allow"


def test_a_file_that_others_may_write_is_refused(service: Service) -> None:
    service.file.chmod(0o666)
    service.hang_up()
    service.await_line("not trusted")
    assert service.login()["decision"] == "allow"


def test_a_mode_that_lets_others_write_is_noticed_without_a_signal_and_mended_so(service: Service) -> None:
    service.file.chmod(0o620)
    service.await_metric("pgbearer_config_ok 0.0")
    assert service.login()["decision"] == "allow"
    service.file.chmod(0o600)
    service.await_metric("pgbearer_config_ok 1.0")
    assert [line["kind"] for line in service.audit() if line["kind"].startswith("reload")] == [
        "reload_refused",
        "reload",
    ]


def test_another_place_takes_a_restart(service: Service) -> None:
    service.change(audit={"file": str(service.audit_file.with_name("other.jsonl"))})
    service.await_line("That takes a restart")
    assert service.login()["decision"] == "allow"
    assert not service.audit_file.exists()


def test_keys_of_an_unchanged_issuer_outlive_a_reload(service: Service) -> None:
    service.issuer.down()
    service.change(rules=[*service.settings["rules"], *NOBODY])
    service.await_line("reloaded")
    assert service.login()["decision"] == "allow"


def test_revocation_acts_at_once_also_on_tokens_that_were_seen(service: Service) -> None:
    request = service.request()
    assert service.login(request)["decision"] == "allow"
    issuer = service.settings["issuers"]["demo"]
    service.change(issuers={"demo": issuer | {"keys": {"deny": [service.issuer.key.kid]}}})
    service.await_line("reloaded")
    assert service.login(request)["reason"] == "key_denied"


def test_an_issuer_that_hangs_holds_up_no_change(service: Service, issuer_authority: Authority) -> None:
    with Issuer(issuer_authority) as hung:
        hung.hang()
        demo = service.settings["issuers"]["demo"]
        service.change(
            issuers={"demo": demo, "other": demo | {"issuer": hung.url, "identity": "other:{sub}"}}, rules=NOBODY
        )
        in_force = service.output.index(service.await_line("reloaded .*").string)
        assert not any("keys of issuer other" in line for line in service.output[:in_force])
        assert service.login()["reason"] == "no_rule"
        hung.mend()
        service.await_line("keys of issuer other: 1 to verify with")


def test_a_configmap_is_followed_when_kubernetes_swaps_its_link(start_service: Start, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o700)
    for name in ("..one", "..two"):
        (volume / name).mkdir(mode=0o700)
    (volume / "..data").symlink_to("..one")
    (volume / "pgbearer.yaml").symlink_to("..data/pgbearer.yaml")
    service = start_service(real_file=volume / "..one" / "pgbearer.yaml", file=volume / "pgbearer.yaml")
    assert service.login()["decision"] == "allow"
    write_settings(volume / "..two" / "pgbearer.yaml", service.issuer, **service.settings | {"rules": NOBODY})
    (volume / "..data_tmp").symlink_to("..two")
    (volume / "..data_tmp").rename(volume / "..data")
    service.await_line("reloaded")
    assert service.login()["reason"] == "no_rule"


TEAM = {
    "owner": "team",
    "limits": {"databases": ["appdb"], "roles": ["app_*"]},
    "rules": [{"name": "nobody", "deny": True, "databases": ["appdb"], "roles": ["app_*"]}],
}


def put(file: Path, content: object) -> None:
    """A file as an editor leaves it: whole, or not there."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps(content))
    new.chmod(0o600)
    new.rename(file)


def test_rules_of_a_folder_that_comes_later_are_in_force_and_go_with_it(service: Service) -> None:
    folder = service.file.parent / "policy.d"
    folder.mkdir(mode=0o700)
    put(folder / "team.yaml", TEAM)
    service.await_line("reloaded")
    assert service.login()["reason"] == "denied_by_rule"
    (folder / "team.yaml").unlink()
    service.await_count("reloaded", 2)
    assert service.login()["decision"] == "allow"


def test_a_bad_file_in_the_folder_is_refused_with_all_others(service: Service) -> None:
    folder = service.file.parent / "policy.d"
    folder.mkdir(mode=0o700)
    put(folder / "team.yaml", TEAM | {"limits": {"databases": ["payroll"], "roles": ["app_*"]}})
    service.await_line("the one before stays in force")
    assert service.login()["decision"] == "allow"
    problems = json.loads(service.http("/readyz")[1])["config"]["problems"]
    assert any("team.yaml" in line and "beyond limits.databases" in line for line in problems)
    put(folder / "team.yaml", TEAM)
    service.await_line("reloaded")
    assert service.login()["reason"] == "denied_by_rule"
