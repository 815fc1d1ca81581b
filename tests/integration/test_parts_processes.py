"""Processes that outlive the command that started them: known again, never mistaken, always stopped."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.processes import Running, TimeUpError, launch, wait_until


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def sleeper(log: Path) -> Iterator[Running]:
    process = launch(["sleep", "60"], log=log)
    yield process
    process.stop()


def test_running_process_is_known_again_by_pid_and_start(sleeper: Running) -> None:
    assert sleeper.alive()
    assert Running.of(sleeper.pid) == sleeper


def test_other_process_with_the_same_pid_is_neither_alive_nor_stopped(sleeper: Running) -> None:
    earlier = Running(sleeper.pid, "1")

    assert not earlier.alive()
    earlier.stop()
    assert sleeper.alive()


def test_stopped_process_is_gone(sleeper: Running) -> None:
    sleeper.stop()

    assert not sleeper.alive()
    sleeper.stop()


def test_process_that_will_not_end_is_killed(log: Path) -> None:
    stubborn = launch(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], log=log)
    wait_until(lambda: "deaf" in log.read_text(), 20, "the trap to be set")

    stubborn.stop(patience=0.3)

    assert not stubborn.alive()


def test_children_end_with_their_parent(log: Path) -> None:
    parent = launch(["sh", "-c", "sleep 60 & echo $!; wait"], log=log)
    wait_until(lambda: log.read_text().strip() != "", 20, "the child to start")
    child = Running.of(int(log.read_text()))

    parent.stop()

    wait_until(lambda: not child.alive(), 20, "the child to end")


def test_both_outputs_are_in_the_log(log: Path) -> None:
    process = launch(["sh", "-c", "echo out; echo error >&2"], log=log, env={"PATH": os.environ["PATH"]})
    wait_until(lambda: not process.alive(), 20, "it to end")

    assert sorted(log.read_text().split()) == ["error", "out"]


def test_process_that_is_stopped_has_a_session_of_its_own(sleeper: Running) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert os.getsid(sleeper.pid) != os.getsid(0)


def test_what_does_not_happen_in_time_is_said_by_name() -> None:
    with pytest.raises(TimeUpError, match="waited 0 s for rain"):
        wait_until(lambda: False, 0, "rain")


def test_missing_program_is_not_found(log: Path) -> None:
    with pytest.raises(FileNotFoundError):
        launch(["/nonexistent/program"], log=log)


def test_signal_of_choice_is_sent(log: Path) -> None:
    process = launch(["sh", "-c", "trap 'echo interrupted; exit' INT; echo set; while :; do sleep 0.1; done"], log=log)
    wait_until(lambda: "set" in log.read_text(), 20, "the trap to be set")

    process.stop(how=signal.SIGINT)

    assert "interrupted" in log.read_text()
