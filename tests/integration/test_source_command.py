"""A program that prints a token: what it may print, how long it may take, and that nothing of it is left behind."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pgbearer.client.sources.command import CommandSource
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.errors import UsageError
from tests.parts.processes import wait_until


def python(code: str, *words: str) -> Sequence[str]:
    return [sys.executable, "-c", code, *words]


async def test_what_it_prints_is_the_token() -> None:
    source = CommandSource(python("print('opaque')"), issuer="https://sso.test")
    assert source.token().reveal() == (await source.token_async()).reveal() == "opaque"
    assert source.issuer == "https://sso.test"


def test_no_shell_reads_the_arguments() -> None:
    assert CommandSource(python("import sys; print(len(sys.argv))", "$(id)", "; echo x")).token().reveal() == "3"


def counting(tmp_path: Path, **answer: object) -> tuple[CommandSource, Path]:
    """A source whose program notes each run in a file."""
    runs = tmp_path / "runs"
    code = "import sys; open(sys.argv[1], 'a').write('x'); print(sys.argv[2])"
    return CommandSource(python(code, str(runs), json.dumps({"access_token": "opaque", **answer}))), runs


def test_it_runs_once_for_all_while_the_token_is_young(tmp_path: Path) -> None:
    source, runs = counting(tmp_path, expires_in=300)
    with ThreadPoolExecutor(20) as pool:
        assert {token.reveal() for token in pool.map(lambda _: source.token(), range(50))} == {"opaque"}
    assert runs.read_text() == "x"


def test_a_token_without_an_end_is_used_once(tmp_path: Path) -> None:
    source, runs = counting(tmp_path)
    source.token(), source.token()
    assert runs.read_text() == "xx"


def test_what_it_says_on_standard_error_reaches_the_person(capfd: pytest.CaptureFixture[str]) -> None:
    source = CommandSource(python("import sys; print('log in first', file=sys.stderr); sys.exit(3)"))
    with pytest.raises(NoTokenError, match="ended with exit code 3") as caught:
        source.token()
    assert capfd.readouterr().err == "log in first\n"
    assert caught.value.where == sys.executable


def test_it_can_ask_nobody() -> None:
    code = """
import sys
assert sys.stdin.read() == ""
try:
    open("/dev/tty")
except OSError:
    print("alone")
"""
    assert CommandSource(python(code)).token().reveal() == "alone"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (python("print('a secret')"), "not a bearer token"),
        (python('print(\'{"access_token": "secret", "token_type": "DPoP"}\')'), "another type"),
        (python('print(\'{"access_token": "secret", "expires_in": 0}\')'), "has ended"),
        (python("while True: print('secret' * 1000)"), "printed more than 120,000 bytes"),
        (python("import os; os.kill(os.getpid(), 9)"), "was ended by signal 9"),
        (python("print('secret'); raise SystemExit(1)"), "ended with exit code 1"),
    ],
    ids=["no token", "wrong type", "ended", "endless", "killed", "failed"],
)
def test_faults(command: Sequence[str], said: str) -> None:
    with pytest.raises(NoTokenError, match=said) as caught:
        CommandSource(command).token()
    assert caught.value.exit_code == 3
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("command", [["/nonexistent/program"], ["/etc/passwd"], ["a\0b"]])
def test_what_cannot_be_run(command: list[str]) -> None:
    with pytest.raises(UsageError, match="cannot be run"):
        CommandSource(command).token()


@pytest.mark.parametrize("command", [[], [""]])
def test_no_program(command: list[str]) -> None:
    with pytest.raises(UsageError, match="the command is empty"):
        CommandSource(command)


FAMILY = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
if len(sys.argv) > 2:
    os.close(1)
child.wait()
"""


def gone(pid: int) -> bool:
    """Ended, whoever has to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def await_gone(pids: Path) -> None:
    started = [int(pid) for pid in pids.read_text().split()]
    wait_until(lambda: all(map(gone, started)), 30, f"{started} to be gone")


@pytest.mark.parametrize("quiet", [[], ["closes its output"]], ids=["prints nothing", "closes its output"])
def test_who_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path, quiet: list[str]) -> None:
    pids = tmp_path / "pids"
    source = CommandSource(python(FAMILY, str(pids), *quiet), timeout=2.0)
    with pytest.raises(NoTokenError, match="did not end within 2 s"):
        source.token()
    await_gone(pids)


async def test_who_is_cancelled_takes_the_program_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    task = asyncio.create_task(CommandSource(python(FAMILY, str(pids)), timeout=600).token_async())
    await asyncio.to_thread(wait_until, pids.exists, 30, "the program to run")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(await_gone, pids)


def test_an_interrupt_takes_the_program_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def interrupt() -> None:
        wait_until(pids.exists, 30, "the program to run")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        CommandSource(python(FAMILY, str(pids)), timeout=600).token()
    thread.join()
    await_gone(pids)
