"""No token, nor a part of one, in anything that the parts say, keep or show of themselves, whatever goes wrong."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.integration.fix_chain import PGBEARER, Chain, whole_chain
from tests.parts.authority import Authority
from tests.parts.postgres import Installation
from tests.parts.processes import TimeUpError, wait_until

BROKEN_SERVICE = """
from pgbearer.cli.app import main
from pgbearer.service import decide

judge = decide.judge

async def broken(state, buckets, caller, request, *more):
    if request.access.application_name == "break":
        raise RuntimeError(f"cannot judge {request.token}")
    return await judge(state, buckets, caller, request, *more)

decide.judge = broken
main()
"""
"""`pgbearer`, but deciding fails where the client calls itself "break", with the token in the error's words."""

LONG_ENOUGH = 20
"""Characters in a row that would be a leak: no identity, reference or digest shares so many with a token."""


@dataclass
class Told:
    """Everything that was said, by where; and the tokens that must not be in it."""

    tokens: set[str] = field(default_factory=set, repr=False)
    places: dict[str, str] = field(default_factory=dict, repr=False)

    def leaks(self) -> list[str]:
        """Which places hold a part of a token: any 30 characters in a row are sure to be found."""
        parts = {
            segment[at : at + LONG_ENOUGH]
            for token in self.tokens
            for segment in token.split(".")
            for at in range(0, len(segment) - LONG_ENOUGH + 1, 10)
        }
        return [place for place, text in self.places.items() if any(part in text for part in parts)]

    def processes(self, *roots: int) -> None:
        """Note the arguments and environment of these processes and their descendants."""
        for pid in family(*roots):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                self.places[f"cmdline of {pid}"] = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # shut even to its user
                self.places[f"environ of {pid}"] = Path(f"/proc/{pid}/environ").read_text(errors="replace")


def family(*roots: int) -> set[int]:
    """These processes and all that descend from them, by field 4 of /proc/PID/stat."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = set[int](), list(roots)
    while waiting:
        found.add(pid := waiting.pop())
        waiting += children.get(pid, [])
    return found


@pytest.fixture(scope="module")
def talkative(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    """A chain that logs all it can, with a service that can be made to fail and to crash."""
    settings = {"log_min_messages": "debug5", "log_connections": "all", "log_statement": "all"}
    program = (sys.executable, "-X", "faulthandler", "-c", BROKEN_SERVICE)
    with whole_chain(postgres, issuer_authority, program=program, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def told(talkative: Chain, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """All that the parts said in logins that were allowed, refused, malformed and broken, and in a crash."""
    heard = Told()
    _log_in(talkative, heard)
    _run_commands(talkative, heard, tmp_path_factory.mktemp("home"))
    _look_from_outside(talkative, heard)
    talkative.service.process.send_signal(signal.SIGSEGV)
    talkative.service.process.wait()
    talkative.service.await_line("most recent call first")
    _try(talkative, heard, talkative.issuer.token())  # nobody there
    heard.tokens.update(talkative.issuer.issued)
    heard.places["server log"] = talkative.server.log
    heard.places["service log"] = "".join(talkative.service.output)
    heard.places["audit"] = talkative.service.audit_file.read_text()
    return heard


def _try(chain: Chain, heard: Told, token: str, **how: str) -> None:
    """Log in and note what psycopg says if it is refused."""
    heard.tokens.add(token)
    try:
        chain.login(token=token, **how).close()
    except psycopg.OperationalError as error:
        heard.places[f"error {len(heard.places)}"] = str(error)


def _log_in(chain: Chain, heard: Told) -> None:
    good = chain.issuer.token()
    head, payload, signature = good.split(".")
    for token in (
        good,
        chain.issuer.token(aud="db:other"),
        chain.issuer.token(realm_access={"roles": []}),
        chain.issuer.token(header={"kid": "nobody's"}),
        chain.issuer.token(header={"typ": "JWT"}),
        chain.issuer.token(iss="https://evil.test"),
        chain.issuer.token(azp="shop"),
        f"{head}.{payload}.{chain.issuer.token().split('.')[2]}",
        f"{payload}.{head}.{signature}",
        f"{head}.{payload}",
        f"{good}.{good}",
        "x" + payload,
        "A" * 40_000 + payload,
    ):
        _try(chain, heard, token)
        _try(chain, heard, token, role="app_readwrite")
        _try(chain, heard, token, application_name="break")


def _run_commands(chain: Chain, heard: Told, home: Path) -> None:
    """The commands a person runs, in, refused and with --debug; one of them looked at while it is connected."""
    chain.issuer.changes["interval"] = 1
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBUS_", "XDG_"))}
    env = kept | {"PGBEARER_ISSUER": chain.issuer.url, "PGBEARER_CA_FILE": str(chain.issuer.ca_file)}
    env |= {"XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    at = f"host={chain.server.folder} port={chain.server.port} dbname=appdb user="
    _run(heard, env, "login", "--device")  # the others have no terminal to ask at
    with _locked(chain):
        waits = ["connect", f"{at}app_readonly", "--command", "SELECT pg_advisory_lock(3)"]
        connected = subprocess.Popen([PGBEARER, *waits], env=env, text=True, stderr=-1, stdout=-1)
        try:
            wait_until(lambda: chain.server.sql(WAITING) == "1", 30, "the command to be connected")
        except TimeUpError:
            connected.kill()
            pytest.fail(f"the command ended, or is still on its way: {connected.communicate()}")
        heard.processes(connected.pid, chain.server.pid, chain.service.process.pid)
        for name, pid in (("connect", connected.pid), ("service", chain.service.process.pid)):
            heard.places[f"limits of {name}"] = Path(f"/proc/{pid}/limits").read_text()
    _note(heard, " ".join(waits), connected.communicate(timeout=60), connected.returncode)
    for arguments in (
        ["login", "--device", "--json"],
        ["status"],
        ["connect", f"{at}app_readonly"],
        ["connect", f"{at}app_readonly", "--command", "SELECT 1/0"],
        ["connect", f"{at}app_readwrite"],
        ["--debug", "connect", f"{at}app_readwrite"],
        ["--debug", "connect", f"{at}app_readonly", "--command", "SELECT 1/0"],
        ["logout"],
    ):
        _run(heard, env, *arguments)


def _run(heard: Told, env: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([PGBEARER, *arguments], env=env, capture_output=True, text=True, timeout=60)
    _note(heard, " ".join(arguments), (done.stdout, done.stderr), done.returncode)


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"


@contextlib.contextmanager
def _locked(chain: Chain) -> Iterator[None]:
    where = f"host={chain.server.folder} port={chain.server.port} user=postgres dbname=appdb"
    with psycopg.connect(where) as holder:
        holder.execute("SELECT pg_advisory_lock(3)")
        yield


def _note(heard: Told, command: str, said: tuple[str, str], status: int) -> None:
    heard.places[f"{command}: stdout"], heard.places[f"{command}: stderr"] = said
    heard.places[f"{command}: status"] = str(status)


def _look_from_outside(chain: Chain, heard: Told) -> None:
    """Everything that the service answers to who asks it."""
    for path in ("/metrics", "/readyz", "/healthz"):
        heard.places[path] = chain.service.http(path)[1]
    decisions = chain.service.admin("/v1/decisions")
    ids = [entry["decision_id"] for entry in decisions.body["decisions"]]
    for target in ("/v1/decisions", "/v1/config", *(f"/v1/decisions/{each}" for each in ids)):
        heard.places[f"admin {target}"] = chain.service.admin(target).raw.decode()
    heard.processes(chain.service.process.pid, chain.server.pid)


def test_no_part_of_a_token_is_anywhere(told: Told) -> None:
    assert told.leaks() == []


def test_the_search_would_find_one(told: Told) -> None:
    """Also if it were cut, and wherever it were."""
    payload = max(told.tokens, key=len).split(".")[0][-40:-5]
    assert Told(told.tokens, {"log": f"said {payload} by mistake"}).leaks() == ["log"]


def test_all_that_can_happen_did(told: Told) -> None:
    """Without this, the search might have looked at nothing."""
    reasons = {record.get("reason") for line in told.places["audit"].splitlines() for record in [json.loads(line)]}
    assert reasons >= {
        "allowed",
        "role_not_allowed",
        "no_rule",
        "audience_mismatch",
        "token_malformed",
        "token_type",
        "signature_invalid",
        "key_unknown",
        "issuer_unknown",
        "client_not_allowed",
        "internal_error",
    }
    assert "deciding a login failed: RuntimeError" in told.places["service log"]
    assert "most recent call first" in told.places["service log"]
    for said in ("refused: service_unreachable", "refused: token_too_large", "allowed: decision"):
        assert f"OAuth login {said}" in told.places["server log"]
    shown = [text for place, text in told.places.items() if place.startswith("cmdline")]
    for process in ("postgres: app_readonly appdb", "serve\0-c", "connect\0host=", "postgres\0-D"):
        assert any(process in text for text in shown)
    assert any("PATH=" in text for place, text in told.places.items() if place.startswith("environ"))
    outputs = {place: text for place, text in told.places.items() if place.endswith(": status")}
    assert set(outputs.values()) >= {"0", "1"}
    assert [place for place, text in told.places.items() if "--debug" in place and "Traceback" in text]


@pytest.mark.parametrize("process", ["connect", "service"])
def test_neither_service_nor_command_leaves_a_core_file(told: Told, process: str) -> None:
    assert re.search(r"Max core file size\s+0\s+0\s", told.places[f"limits of {process}"])


def test_token_ref_is_there_instead(told: Told) -> None:
    """What is needed to find the login again, and of no use for another."""
    assert re.search(r'"token_ref": ?"[0-9a-f]{12}"', told.places["audit"])
    assert re.search(r"token_ref [0-9a-f]{12}", told.places["server log"])
