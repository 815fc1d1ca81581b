"""What asking a decider costs: each kind, played by a process of its own over TLS, cold and with its answer remembered.

What the real deciders take comes on top; this is our side and the wire. Everything from `evaluate` to `conclude`.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from pgbearer import policy
from pgbearer.config import Settings
from pgbearer.deciders import Panel, build_panel
from pgbearer.policy import Allow, Ask, Policy, conclude, evaluate
from pgbearer.service.hearing import hear
from tests.bench.budget import Row
from tests.bench.stats import Summary
from tests.lying_decider import KINDS, LyingDecider, section
from tests.parts.authority import Authority
from tests.unit.logins import NOW, READERS, compiled, request, settings, verified

__all__ = ["rows"]

QUESTIONS = 400
RULE = (
    "{name: asking, issuers: [corp], any_role: [db-read], databases: [appdb], roles: [app_readonly], ask: {all: [it]}}"
)
TOKEN = "eyJhbGciOiJSUzI1NiJ9." + "x" * 1200 + "." + "y" * 342


def rows() -> list[Row]:
    """The table: without asking, then by kind the first answer of each question, and the remembered one."""
    found = [Row("a decision that asks nobody: p50", f"{_local():.3f} ms")]
    with tempfile.TemporaryDirectory() as folder, _decider(Path(folder)) as (url, ca_file):
        for kind in KINDS:
            made = _settings(kind, url, ca_file)
            cold, cached = uvloop.run(_measure(policy.compile(made).policy, made))
            found.append(Row(f"{kind}, asked: p50, p99", f"{cold.p50:.2f}, {cold.p99:.2f} ms"))
            found.append(Row(f"{kind}, remembered: p50, p99", f"{cached.p50:.3f}, {cached.p99:.3f} ms"))
    return found


def _settings(kind: str, url: str, ca_file: Path) -> Settings:
    plain = settings(RULE)
    members = {name: getattr(plain, name) for name in type(plain).model_fields}
    return Settings.model_validate(members | {"deciders": {"it": section(kind, url, ca_file) | {"cache": "5m"}}})


async def _measure(rules: Policy, made: Settings) -> tuple[Summary, Summary]:
    panel = build_panel(made)
    assert panel is not None
    try:
        await _login(rules, panel, "warm-up")  # connects
        taken = [
            (await _login(rules, panel, f"{number}"), await _login(rules, panel, f"{number}", remembered=True))
            for number in range(QUESTIONS)
        ]
    finally:
        await panel.aclose()
    return Summary.of("cold", [cold for cold, _ in taken]), Summary.of("cached", [cached for _, cached in taken])


async def _login(rules: Policy, panel: Panel, session: str, *, remembered: bool = False) -> float:
    """Seconds that a decision took; another session is another question."""
    person = verified(session_id=session)
    began = time.perf_counter()
    found = evaluate(rules, person, request(), server="local", now=NOW, keys_age=1.0)
    assert isinstance(found, Ask)
    heard = await hear(panel, found, TOKEN)
    outcome: Any = conclude(found, heard.advice)
    taken = time.perf_counter() - began
    if not isinstance(outcome, Allow):
        raise TypeError(f"not allowed: {heard.inquiries}")  # a benchmark of faults would be a fast one
    if any((inquiry.source == "cache") != remembered for inquiry in heard.inquiries):
        raise ValueError(f"not from where it should be: {heard.inquiries}")
    return taken


def _local() -> float:
    """Milliseconds of the same decision by a rule that asks nobody."""
    rules, person, asked = compiled(READERS), verified(), request()
    taken = []
    for _ in range(QUESTIONS):
        began = time.perf_counter()
        evaluate(rules, person, asked, server="local", now=NOW, keys_age=1.0)
        taken.append(time.perf_counter() - began)
    return Summary.of("local", taken).p50


@contextlib.contextmanager
def _decider(folder: Path) -> Iterator[tuple[str, Path]]:
    """One in a process of its own, so that it and we do not wait for each other's interpreter."""
    command = [sys.executable, "-m", "tests.bench.deciders", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        try:
            yield f"https://127.0.0.1:{port}", folder / "ca.crt"
        finally:
            process.stdin.close()


def _serve(folder: Path) -> None:
    """Say yes to everything until standard input ends."""
    with LyingDecider(Authority(folder)) as decider:
        print(decider.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
