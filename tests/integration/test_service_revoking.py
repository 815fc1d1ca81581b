"""Revoking with the real service: at once, on remembered tokens, across a kill, and never forgotten in silence."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fix_service import Service, Start

CLAIMS: dict[str, Any] = {"sub": "alice", "sid": "session-1", "jti": "onrtdg:1"}


def pgbearer(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    """`pgbearer revoke` as a person runs it."""
    command = [str(Path(sys.executable).with_name("pgbearer")), "revoke", *words, f"--socket={service.admin_socket}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def revoked(service: Service) -> list[dict[str, Any]]:
    """What is listed."""
    found: list[dict[str, Any]] = service.admin("/v1/revocations").body["revocations"]
    return found


def kinds(service: Service) -> list[str]:
    """Kinds of the audit's lines."""
    return [line["kind"] for line in service.audit()]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--sub", "alice"), "token_revoked"),
        (("--sub", "alice", "--before", "now"), "token_revoked"),
        (("--sid", "session-1"), "token_revoked"),
        (("--jti", "onrtdg:1"), "token_revoked"),
        (("--before", "now"), "token_revoked"),
        (("--kid", "key-1", "--issuer", "demo"), "key_denied"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_next_login_with_a_remembered_token_is_refused(
    service: Service, words: tuple[str, ...], reason: str
) -> None:
    request = service.request(token=service.issuer.token(**CLAIMS, iat=int(time.time()) - 5))
    assert [service.login(request)["decision"] for _ in range(2)] == ["allow", "allow"]
    done = pgbearer(service, *words, "--ticket", "INC-7")
    assert done.returncode == 0, done.stderr
    assert service.login(request)["reason"] == reason
    (entry,) = revoked(service)
    shown = json.loads(pgbearer(service, "list", "--json").stdout)
    assert shown == [entry]
    assert service.decisions()[-1]["detail"] == f"revocation {entry['id']} ({entry['kind']})"
    lifted = pgbearer(service, "lift", entry["id"])
    assert lifted.returncode == 0, lifted.stderr
    answer = service.login(request)
    assert answer["decision"] == "allow", answer
    lines = [line for line in service.audit() if line["kind"] in ("revoke", "lift")]
    assert [(line["kind"], line["peer_uid"], line["revocation"]) for line in lines] == [
        ("revoke", os.getuid(), entry),
        ("lift", os.getuid(), entry),
    ]


def test_others_are_not_refused(service: Service) -> None:
    alice = service.request(token=service.issuer.token(**CLAIMS))
    bob = service.request(token=service.issuer.token(sub="bob", sid="session-2", jti="onrtdg:2"))
    pgbearer(service, "--sub", "alice")
    assert service.login(alice)["reason"] == "token_revoked"
    assert service.login(bob)["decision"] == "allow"


def test_a_token_from_before_is_refused_and_a_new_login_of_the_person_is_not(service: Service) -> None:
    now = int(time.time())
    old = service.request(token=service.issuer.token(**CLAIMS, iat=now - 60))
    pgbearer(service, "--sub=alice", "--before=" + time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 30)))
    assert service.login(old)["reason"] == "token_revoked"
    assert service.login(token=service.issuer.token(**CLAIMS, iat=now - 5))["decision"] == "allow"


def test_it_survives_being_killed_a_restart_and_reloads(service: Service, start_service: Start) -> None:
    request = service.request(token=service.issuer.token(**CLAIMS))
    assert pgbearer(service, "--sub", "alice").returncode == 0
    service.process.kill()
    service.process.wait()
    again = start_service()
    assert again.login(request)["reason"] == "token_revoked"
    assert [line["revocations"] for line in again.audit() if line["kind"] == "start"] == [0, 1]
    again.change(limits={"in_flight": 7})
    again.await_line("reloaded")
    assert again.login(request)["reason"] == "token_revoked"
    assert pgbearer(again, "lift", revoked(again)[0]["id"]).returncode == 0
    assert again.login(request)["decision"] == "allow"
    assert again.stop() == 0
    third = start_service()
    assert third.login(request)["decision"] == "allow"


def test_what_is_lost_with_the_folder_is_told_of(service: Service, start_service: Start) -> None:
    """It is not put back, but nobody loses it unnoticed; what is made anew is not missing at the next start."""
    assert service.count("NOT IN FORCE") == 0
    for subject in ("alice", "bob"):
        assert pgbearer(service, "--sub", subject).returncode == 0
    lost, lifted = (one["id"] for one in revoked(service))
    assert pgbearer(service, "lift", lifted).returncode == 0
    assert service.stop() == 0
    shutil.rmtree(service.revocations_file.parent)
    again = start_service()
    again.await_line(f"revocations that {again.audit_file} tells of are not in .* and NOT IN FORCE: {lost};")
    assert again.audit()[-1]["revocations_forgotten"] == [lost]
    assert json.loads(again.http("/readyz")[1])["revocations_forgotten"] == 1
    assert "pgbearer_revocations_forgotten 1.0" in again.http("/metrics")[1]
    assert pgbearer(again, "--sub", "alice").returncode == 0
    assert again.stop() == 0
    third = start_service()
    assert third.count("NOT IN FORCE") == 0
    assert third.stop() == 0
    shutil.rmtree(third.revocations_file.parent)
    third.audit_file.rename(third.audit_file.with_suffix(".1"))
    third.audit_file.write_bytes(third.audit_file.with_suffix(".1").read_bytes().splitlines(keepends=True)[-1])
    third.audit_file.chmod(0o600)
    start_service().await_line("if older audit files tell of some, they are NOT IN FORCE")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version":1,"revocations":[{}]}'])
def test_a_damaged_file_stops_the_start(service: Service, damage: bytes) -> None:
    pgbearer(service, "--sub", "alice")
    assert service.stop() == 0
    service.revocations_file.write_bytes(damage)
    again = subprocess.run(service.process.args, capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 2
    assert "nobody knows what is revoked" in again.stderr
    assert not service.login_socket.exists()


def test_a_second_service_does_not_take_the_folder_of_the_first(service: Service, tmp_path: Path) -> None:
    own = tmp_path / "second"
    own.mkdir(mode=0o700)
    settings = json.loads(service.file.read_text())
    settings["servers"]["local"]["socket"] = str(own / "login" / "login.sock")
    settings["admin"]["socket"] = str(own / "admin" / "admin.sock")
    settings["audit"]["file"] = str(own / "audit.jsonl")
    file = own / "pgbearer.yaml"
    file.write_text(json.dumps(settings))
    file.chmod(0o600)
    command = [str(Path(sys.executable).with_name("pgbearer")), "serve", "-c", str(file)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 2
    assert "another service keeps its state here" in second.stderr
    assert pgbearer(service, "--sub", "alice").returncode == 0


def test_a_full_disk_refuses_the_command_and_forgets_nothing(service: Service) -> None:
    alice = service.request(token=service.issuer.token(**CLAIMS))
    bob = service.request(token=service.issuer.token(sub="bob", sid="s2", jti="onrtdg:2"))
    assert service.command("/v1/revocations", sub="alice").status == 200
    for n in range(10):
        assert service.command("/v1/revocations", jti=f"{n}{'x' * 1000}").status == 200
    service.audit_file.rename(service.audit_file.with_suffix(".1"))  # so that there is room for the audit
    service.hang_up()
    service.await_line("reloaded")
    stored = service.revocations_file.read_bytes()
    before = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (len(stored), resource.RLIM_INFINITY))
    refused = service.command("/v1/revocations", sub="bob")
    assert (refused.status, refused.body) == (503, {"error": "nothing was changed: cannot write: File too large"})
    assert service.revocations_file.read_bytes() == stored
    assert service.login(alice)["reason"] == "token_revoked"
    assert service.login(bob)["decision"] == "allow"
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, before)
    assert service.command("/v1/revocations", sub="bob").status == 200
    assert service.login(bob)["reason"] == "token_revoked"


def test_an_unwritable_file_refuses_the_command(service: Service) -> None:
    request = service.request(token=service.issuer.token(**CLAIMS))
    new = service.revocations_file.with_suffix(".json.new")
    new.mkdir()  # so that not even root can make that file
    done = pgbearer(service, "--sub", "alice")
    assert done.returncode == 1
    assert "nothing was changed: cannot write" in done.stderr
    assert service.login(request)["decision"] == "allow"
    new.rmdir()
    assert pgbearer(service, "--sub", "alice").returncode == 0
    assert service.login(request)["reason"] == "token_revoked"


def test_commands_at_the_same_time_are_all_obeyed(service: Service, start_service: Start) -> None:
    threads = [
        threading.Thread(target=service.command, args=("/v1/revocations",), kwargs={"sub": f"person-{n}"})
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everybody = {f"person-{n}" for n in range(16)}
    assert {entry["value"] for entry in revoked(service)} == everybody
    assert kinds(service).count("revoke") == 16
    service.process.kill()
    service.process.wait()
    assert {entry["value"] for entry in revoked(start_service())} == everybody


def test_who_goes_away_before_the_answer_is_obeyed_or_not_but_memory_and_file_agree(service: Service) -> None:
    body = b'{"sub":"alice"}'
    with service.connect(service.admin_socket) as connection:
        connection.sendall(b"POST /v1/revocations HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        connection.shutdown(socket.SHUT_RDWR)
    service.command("/v1/revocations", sub="bob")  # stands in line behind it
    stored = {one["value"] for one in json.loads(service.revocations_file.read_text())["revocations"]}
    assert stored == {one["value"] for one in revoked(service)}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "say one of --kid, --sid, --sub, --jti and --before"),
        (("--sub", "a", "--jti", "b"), 2, "say one of"),
        (("--before", "tomorrow"), 2, "'tomorrow' is no time"),
        (("--before", "2199-01-01"), 2, "nobody could log in until then"),
        (("--sub", "a", "--issuer", "corp"), 2, "no issuer 'corp'; there is demo"),
        (("--sub", "a", "--for", "1h"), 2, "at least 25h"),
        (("--sub", "a", "--for", "soon"), 2, "must be a duration"),
        (("lift", "abc"), 2, "there is no such revocation"),
        (("lift", "../config"), 2, "no such revocation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_explained(shared_service: Service, words: tuple[str, ...], code: int, said: str) -> None:
    done = pgbearer(shared_service, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert revoked(shared_service) == []


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_another_user_is_refused_and_recorded(service: Service) -> None:
    for folder in (service.admin_socket.parent, *service.admin_socket.parents):
        if folder.stat().st_uid == 0:
            folder.chmod(folder.stat().st_mode | 0o111)
    service.admin_socket.chmod(0o666)  # so that only the check of the peer is in the way
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        's.sendall(b\'POST /v1/revocations HTTP/1.1\\r\\nContent-Length: 13\\r\\n\\r\\n{"sub":"bob"}\'); '
        "print(s.recv(9999).decode())"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code, str(service.admin_socket)], capture_output=True, text=True, timeout=60
    )
    assert "403 Forbidden" in asked.stdout, asked.stderr
    assert revoked(service) == []
    assert any(line["kind"] == "admin" and line["peer_uid"] == 65534 for line in service.audit())


def test_how_many_there_are_is_seen(service: Service) -> None:
    pgbearer(service, "--sub", "alice")
    assert "pgbearer_revocations 1.0" in service.http("/metrics")[1]
    assert json.loads(service.http("/readyz")[1])["revocations"] == 1
    assert service.admin("/v1/config").body["revocations"] == 1


def test_an_issuer_whose_every_key_is_revoked_is_not_counted_ready(service: Service) -> None:
    assert service.http("/readyz")[0] == 200
    kid = service.issuer.keys[0].kid
    assert pgbearer(service, "--kid", kid, "--issuer", "demo").returncode == 0
    status, page = service.http("/readyz")
    report = json.loads(page)
    assert (status, report["obstacles"]) == (503, ["no issuer has usable keys"])
    (issuer,) = report["issuers"]
    assert (issuer["ready"], issuer["keys"], issuer["denied_keys"]) == (False, 0, 1)
    assert 'pgbearer_issuer_ready{issuer="demo"} 0.0' in service.http("/metrics")[1]
    (entry,) = revoked(service)
    assert pgbearer(service, "lift", entry["id"]).returncode == 0
    assert service.http("/readyz")[0] == 200
