"""The service's life: health, metrics, administration, an audit that fails, the end; and no token anywhere."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pgbearer.audit import verify_chain
from pgbearer.wire import encode_request
from tests.integration.fix_service import Service, Start, write_settings


def test_health_and_metrics_are_told_on_their_own_listener_and_nothing_else_is(service: Service) -> None:
    service.login()
    assert service.http("/healthz") == (200, '{"status": "ok"}')
    status, page = service.http("/readyz")
    report = json.loads(page)
    assert (status, report["ready"], report["obstacles"]) == (200, True, [])
    assert [issuer["name"] for issuer in report["issuers"]] == ["demo"]
    status, page = service.http("/metrics")
    assert status == 200
    for sample in (
        'pgbearer_decisions_total{reason="allowed",server="local"} 1.0',
        'pgbearer_decision_seconds_count{decision="allow"} 1.0',
        "pgbearer_ready 1.0",
        "pgbearer_audit_ok 1.0",
        "pgbearer_config_ok 1.0",
        'pgbearer_issuer_keys{issuer="demo"} 1.0',
        'pgbearer_issuer_fetches_total{issuer="demo"} 1.0',
        "process_resident_memory_bytes ",
    ):
        assert sample in page
    assert service.http("/v1/login")[0] == 404
    assert service.http("/v1/decisions")[0] == 404


def test_the_admin_socket_answers_questions_and_records_them(service: Service) -> None:
    allowed = service.login()
    refused = service.login(role="app_readwrite")
    listed = service.admin("/v1/decisions").body["decisions"]
    assert [entry["decision_id"] for entry in listed] == [refused["decision_id"], allowed["decision_id"]]
    found = service.admin("/v1/decisions?reason=role_not_allowed&role=app_readwrite&limit=5").body["decisions"]
    assert [entry["decision_id"] for entry in found] == [refused["decision_id"]]
    shown = service.admin(f"/v1/decisions/{refused['decision_id']}").body
    assert shown["considered"][0]["rule"] == "readers"
    assert shown["considered"][0]["unmet"] == "roles"
    assert shown["remedy"]
    assert service.admin(f"/v1/decisions/{shown['token_ref']}").status == 200
    config = service.admin("/v1/config").body
    assert config["digest"] == shown["policy"]
    assert config["settings"]["rules"][0]["name"] == "readers"
    calls = [line for line in service.audit() if line["kind"] == "admin"]
    assert len(calls) == 5
    assert calls[0]["target"] == "/v1/decisions"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/decisions/none HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /v1/decisions?limit=x HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/decisions?who=alice HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/decisions?role=a&role=b HTTP/1.1\r\n\r\n", 400),
        (b"POST /v1/login HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"DELETE /v1/decisions HTTP/1.1\r\n\r\n", 405),
        (b"GET /v1/config HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 413),
        (b"GET /v1/config HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", 413),
        (b"BREW /v1/config HTTP/1.1\r\n\r\n", 400),
        (b"\0" * 100, 400),
        (b"GET /v1/config HTTP/1.1\r\nX: " + b"x" * 9000, 431),
    ],
)
def test_what_is_no_question_gets_no_answer_and_leaves_a_line(
    shared_service: Service, data: bytes, status: int
) -> None:
    before = len(shared_service.audit())
    assert shared_service.send(data, shared_service.admin_socket).status == status
    (line,) = (line for line in shared_service.audit()[before:] if line["kind"] == "admin")
    assert (line["status"], line["peer_uid"]) == (status, os.geteuid())


def test_an_audit_that_cannot_be_written_denies_until_it_can(service: Service) -> None:
    assert service.login()["decision"] == "allow"
    size = service.audit_file.stat().st_size
    unlimited = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
    request = service.request()
    assert service.login(request)["reason"] == "audit_unavailable"
    assert service.admin("/v1/decisions").status == 503
    status, page = service.http("/readyz")
    assert status == 503
    assert json.loads(page)["audit"]["ok"] is False
    assert "pgbearer_audit_ok 0.0" in service.http("/metrics")[1]
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, unlimited)
    service.await_line("the audit can be written again")
    assert service.login(request)["decision"] == "allow"
    assert service.http("/readyz")[0] == 200
    assert list(verify_chain(service.audit_file.read_bytes().splitlines(keepends=True))) == []


def test_the_chain_goes_on_through_rotation_and_restart(service: Service, start_service: Start) -> None:
    service.login()
    old = service.audit_file.rename(service.audit_file.with_suffix(".1"))
    service.hang_up()
    service.await_line("reloaded")
    service.login()
    assert service.stop() == 0
    again = start_service()
    again.login()
    assert again.stop() == 0
    lines = [line for path in (old, service.audit_file) for line in path.read_bytes().splitlines(keepends=True)]
    assert list(verify_chain(lines)) == []
    assert json.loads(lines[-1])["seq"] == len(lines)


def test_a_second_service_does_not_write_the_audit_of_the_first(service: Service, tmp_path: Path) -> None:
    """Two would break each other's chain; also after the first has reopened it, in place or rotated."""
    own = tmp_path / "second"
    own.mkdir(mode=0o700)
    service.audit_file.rename(service.audit_file.with_suffix(".1"))
    for times in (1, 2):
        service.hang_up()
        service.await_count("reloaded", times)
    second = write_settings(own / "pgbearer.yaml", service.issuer, audit={"file": str(service.audit_file)})
    command = [str(Path(sys.executable).with_name("pgbearer")), "serve", "-c", str(own / "pgbearer.yaml")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert f"{service.audit_file}: another service writes this audit file" in refused.stderr
    assert not Path(second["servers"]["local"]["socket"]).exists()
    service.login()
    assert [line["kind"] for line in service.audit()] == ["reopen", "reload", "reopen", "reload", "decision"]
    assert list(verify_chain(service.audit_file.read_bytes().splitlines(keepends=True))) == []


def test_a_folder_for_the_audit_that_is_not_there_is_asked_for(start_service: Start, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    service = start_service(ready=False, audit={"file": str(folder / "audit.jsonl")})
    assert service.process.wait(30) == 2
    service.await_line(rf"^  .*install -d -o \S+ -g \S+ -m 0750 {folder}$")
    assert not service.login_socket.exists()


def test_sigterm_lets_logins_under_way_finish_and_takes_no_new_ones(service: Service) -> None:
    service.issuer.rotate_keys()
    service.issuer.hang()
    answers: list[Any] = []
    body = encode_request(service.request())
    under_way = threading.Thread(target=lambda: answers.append(service.post(body)))
    under_way.start()
    service.await_metric('pgbearer_issuer_fetches_total{issuer="demo"} 2.0')
    service.process.terminate()
    service.await_line("stopping")
    with pytest.raises(FileNotFoundError):
        service.connect()
    service.issuer.mend()
    under_way.join()
    assert service.process.wait(30) == 0
    assert answers[0].status == 200
    assert answers[0].body["decision"] in ("allow", "deny")
    assert [line["kind"] for line in service.audit()][-2:] == ["decision", "stop"]


def test_a_request_that_is_not_whole_at_sigterm_is_told_to_ask_elsewhere(service: Service) -> None:
    body = encode_request(service.request())
    with service.connect() as connection:
        connection.sendall(b"POST /v1/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
        service.await_metric("pgbearer_in_flight 1.0")
        service.process.terminate()
        service.await_line("stopping")
        connection.sendall(body)
        answer = service.read(connection)
    assert (answer.status, answer.body["reason"]) == (503, "not_ready")
    assert service.process.wait(30) == 0


def test_a_killed_service_leaves_a_chain_that_goes_on(service: Service, start_service: Start) -> None:
    service.login()
    service.process.kill()
    service.process.wait()
    again = start_service()
    again.login()
    assert list(verify_chain(again.audit_file.read_bytes().splitlines(keepends=True))) == []


def test_no_token_is_anywhere(start_service: Start) -> None:
    service = start_service(ready=True)
    good = service.issuer.token()
    head, payload, _ = good.split(".")
    refused = [service.issuer.token(aud="other"), f"{head}.{payload}.AAAA", f"eyJx.{payload}.x", "eyJ" + "x" * 40_000]
    for token in (good, *refused):
        service.login(token=token)
        service.post(service.encoded(token=token, now="not a number"))
        service.post(service.encoded(token=token)[:-1])
        service.post(service.encoded() + token.encode())
    process = Path(f"/proc/{service.process.pid}")
    places = [
        "".join(service.output),
        service.audit_file.read_text(),
        (process / "cmdline").read_text(),
        service.http("/metrics")[1],
        service.http("/readyz")[1],
        service.admin("/v1/decisions").raw.decode(),
        service.admin("/v1/config").raw.decode(),
    ]
    for place in places:
        for token in (good, *refused):
            for part in token.split("."):
                assert len(part) < 5 or part[:24] not in place
    assert service.stop() == 0


def test_its_memory_is_closed_to_others_and_it_dumps_no_core(service: Service) -> None:
    limits = Path(f"/proc/{service.process.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits)
    look = "from pgbearer.hardening import forbid_dumps; forbid_dumps(); "
    look += (
        "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE: nobody else can ask for it
    )
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60)
    assert found.stdout == "0\n"


def test_the_audit_can_go_to_standard_output(start_service: Start) -> None:
    service = start_service(audit={"file": "-"}, stdout=subprocess.PIPE)
    answer = service.login()
    assert answer["decision"] == "allow"
    assert service.stop() == 0
    assert service.process.stdout
    lines = service.process.stdout.read().encode().splitlines(keepends=True)
    assert [json.loads(line)["kind"] for line in lines] == ["start", "decision", "stop"]
    assert list(verify_chain(lines)) == []
    service.process.stdout.close()


def test_the_audit_goes_to_standard_output_as_containers_have_it(start_service: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of somebody else\n")
    with log.open("a") as out:  # only to be written
        service = start_service(audit={"file": "-"}, stdout=out.fileno())
        assert service.login()["decision"] == "allow"
        assert service.stop() == 0
    assert [json.loads(line)["kind"] for line in log.read_text().splitlines()[1:]] == ["start", "decision", "stop"]


def test_a_pipe_of_somebody_elses_does_not_block_either() -> None:
    """As in a container whose standard output was made by root."""
    look = "import os\nfrom pgbearer.audit import sink\ndef refuse(*_): raise PermissionError\nsink.os.open = refuse\n"
    look += "fd = sink.open_stdout()\nos.write(fd, str(os.get_blocking(fd)).encode())"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60)
    assert (found.stdout, found.stderr) == ("False", "")


def test_the_service_manager_is_told_how_it_is(start_service: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(30)
        manager.bind(str(tmp_path / "notify"))
        service = start_service(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(100) == b"READY=1"
        service.hang_up()
        assert [manager.recv(100), manager.recv(100)] == [b"RELOADING=1", b"READY=1"]
        assert service.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"


def test_the_log_can_be_json(start_service: Start) -> None:
    service = start_service(arguments=["--log", "json"])
    assert service.stop() == 0
    entries = [json.loads(line) for line in service.output]
    assert any("serving logins" in entry["message"] for entry in entries)
    assert {entry["level"] for entry in entries} == {"info"}


def test_decisions_can_be_asked_for_by_command(service: Service) -> None:
    def pgbearer(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("pgbearer")), "decisions", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    decision = service.login(role="app_readwrite")["decision_id"]
    service.login()
    for source in (f"--socket={service.admin_socket}", f"--file={service.audit_file}"):
        listed = json.loads(pgbearer("list", source, "--reason=role_not_allowed", "--json").stdout)
        assert [entry["decision_id"] for entry in listed] == [decision]
        assert "role_not_allowed" in pgbearer("show", decision, source).stdout
    unknown = pgbearer("show", "none", f"--file={service.audit_file}")
    assert unknown.returncode == 1
    assert "pgbearer: " in unknown.stderr
    assert pgbearer("verify", str(service.audit_file)).returncode == 0
    text = service.audit_file.read_text()
    service.audit_file.write_text(text.replace('"deny"', '"allow"', 1))
    broken = pgbearer("verify", str(service.audit_file))
    assert broken.returncode == 1
    assert "does not follow" in broken.stdout
    assert service.stop() == 0
    assert pgbearer("list", f"--socket={service.admin_socket}").returncode == 3
