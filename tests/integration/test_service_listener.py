"""The login listener against everything that is no login, and its place in the file system."""

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.integration.fix_service import Service, Start, read_answer

HEAD = b"POST /v1/login HTTP/1.1\r\nHost: pgbearer\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/login HTTP/1.1\r\n\r\n", 405),
        (b"POST /v1/decisions HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404),
        (b"GET /v1/decisions HTTP/1.1\r\n\r\n", 404),
        (b"GET /v1/config HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz HTTP/1.1\r\n\r\n", 404),
        (b"POST /v1/login/../decisions HTTP/1.1\r\n\r\n", 404),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\r\n\r\n", 400),
        (HEAD + b"Content-Length: 0\r\n\r\n", 400),
        (HEAD + b"Content-Length: 2\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: 131073\r\n\r\n", 413),
        (HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (HEAD + b"X: " + b"x" * 9000, 431),
        (HEAD + b"X: y\r\n" * 3000 + b"Content-Length: 2\r\n\r\n{}", 431),
        (b"POST /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: 2\r\n\r\n{}" + HEAD + b"Content-Length: 2\r\n\r\n{}", 400),
    ],
)
def test_what_is_no_login_is_refused_with_a_status_that_is_no_decision(
    shared_service: Service, data: bytes, status: int
) -> None:
    before = len(shared_service.decisions())
    assert shared_service.send(data).status == status
    assert shared_service.login()["decision"] == "allow"
    assert [line["decision"] for line in shared_service.decisions()[before:]].count("allow") == 1


def test_the_largest_body_is_read_and_a_larger_one_is_not(shared_service: Service) -> None:
    body = shared_service.encoded()
    padded = body[:-1] + b" " * (128 * 1024 - len(body)) + b"}"
    assert len(padded) == 128 * 1024
    assert shared_service.post(padded).body["decision"] == "allow"
    assert shared_service.post(padded + b" ").status == 413


def test_a_second_request_on_a_connection_is_cut(service: Service) -> None:
    """Sent while the first is decided or after: either way there is one answer at most."""
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(service.encoded()) + service.encoded()
    answer = service.send(request + request)
    assert answer.raw.count(b"HTTP/1.1") <= 1
    assert len([line for line in service.decisions() if line["decision"] == "allow"]) <= 1


def test_a_request_that_never_ends_is_ended(service: Service) -> None:
    with service.connect() as silent, service.connect() as slow:
        slow.sendall(HEAD)
        assert read_answer(slow).status == 408
        assert read_answer(silent).status == 408


def test_those_who_hang_up_leave_nothing_behind(shared_service: Service) -> None:
    for part in (b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"):
        with shared_service.connect() as connection:
            connection.sendall(part)
    assert shared_service.login()["decision"] == "allow"
    shared_service.await_metric("pgbearer_in_flight 0.0")


def test_more_than_may_be_under_way_are_told_so_at_once(start_service: Start) -> None:
    service = start_service(limits={"in_flight": 1})
    with service.connect():
        answer = service.post(service.encoded())
        assert (answer.status, answer.body["reason"]) == (503, "overloaded")
    service.await_metric("pgbearer_in_flight 0.0")
    assert service.login()["decision"] == "allow"


def test_strangers_take_no_place_from_a_server(start_service: Start) -> None:
    service = start_service(wrong_uid=True, limits={"in_flight": 1})
    idle = [service.connect() for _ in range(16)]
    assert service.send(b"junk").status == 503
    assert "pgbearer_in_flight 0.0" in service.http("/metrics")[1]
    for connection in idle:
        connection.close()


def test_a_flood_of_junk_becomes_a_number_and_the_service_goes_on(service: Service) -> None:
    for _ in range(200):
        assert service.login(token="junk.junk.junk")["decision"] == "deny"
    assert service.login()["decision"] == "allow"
    assert service.stop() == 0
    assert len([line for line in service.decisions() if line["decision"] == "deny"]) == 5
    (tally,) = [line for line in service.audit() if line["kind"] == "aggregate"]
    assert (tally["count"], tally["verified"], tally["server"]) == (195, False, "local")


def test_one_person_without_rights_does_not_fill_the_audit(start_service: Start) -> None:
    """What they are told does not change, and what is allowed always has a line; a reload changes the budget."""
    service = start_service(limits={"denials_per_identity_per_minute": 2})
    token = service.issuer.token()
    assert {service.login(token=token, role="payroll_owner")["reason"] for _ in range(100)} == {"role_not_allowed"}
    assert {service.login(token=token)["decision"] for _ in range(20)} == {"allow"}
    before = len(service.decisions())
    assert 22 <= before <= 25  # as slow as the machine is, a denial or two more
    service.change(limits={"denials_per_identity_per_minute": 60_000})
    service.await_line("reloaded")
    for _ in range(50):
        service.login(token=token, role="payroll_owner")
    assert service.stop() == 0
    assert len(service.decisions()) >= before + 40
    tallies = [line for line in service.audit() if line["kind"] == "aggregate"]
    assert {(line["reason"], line["verified"], *line["roles"]) for line in tallies} == {
        ("role_not_allowed", True, "payroll_owner")
    }
    denials = sum(line["decision"] == "deny" for line in service.decisions())
    assert sum(line["count"] for line in tallies) + denials == 150


def test_sockets_and_folders_are_for_those_they_are_for(shared_service: Service) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(shared_service.login_socket) == 0o660
    assert mode(shared_service.login_socket.parent) == 0o750
    assert mode(shared_service.admin_socket) == 0o600
    assert mode(shared_service.admin_socket.parent) == 0o700
    assert shared_service.login_socket.stat().st_gid == os.getgid()
    assert mode(shared_service.audit_file) == 0o600


def test_a_second_service_does_not_take_the_socket_of_the_first(service: Service, start_service: Start) -> None:
    second = start_service(ready=False)
    assert second.process.wait(30) == 2
    second.await_line("another service listens here")
    assert service.login()["decision"] == "allow"
    assert [line["kind"] for line in service.audit()] == ["start", "decision"]


def test_a_socket_left_by_a_killed_service_is_taken_over(service: Service, start_service: Start) -> None:
    service.process.kill()
    service.process.wait()
    assert service.login_socket.exists()
    assert start_service().login()["decision"] == "allow"


def test_on_exit_only_its_own_socket_is_removed(service: Service) -> None:
    service.login_socket.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(service.login_socket))
        assert service.stop() == 0
        assert service.login_socket.exists()
    assert not service.admin_socket.exists()


@pytest.mark.parametrize("what", ["file", "link", "open folder"])
def test_a_place_that_is_not_ours_is_refused(start_service: Start, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "login"
    if what == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
        if what == "file":
            (folder / "login.sock").write_text("precious")
        else:
            folder.chmod(0o777)
    service = start_service(ready=False)
    assert service.process.wait(30) == 2
    assert not (tmp_path / "elsewhere" / "login.sock").exists()
    if what == "file":
        assert (folder / "login.sock").read_text() == "precious"


def test_an_address_in_use_is_said_so(start_service: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        service = start_service(ready=False, http={"address": f"127.0.0.1:{other.getsockname()[1]}"})
        assert service.process.wait(30) == 2
    service.await_line("cannot listen: Address already in use")


def test_with_a_wrong_file_nothing_starts(start_service: Start) -> None:
    service = start_service(ready=False, rules=[{"name": "x", "any_rol": ["y"]}])
    assert service.process.wait(30) == 2
    service.await_line("any_rol")
    assert not service.login_socket.exists()
