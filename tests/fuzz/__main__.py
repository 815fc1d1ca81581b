"""`make fuzz`: every target at once for so many seconds, guided by coverage, with progress and a summary."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.module import MODULE_TARGETS, build
from tests.fuzz.targets import CORPUS, TARGETS
from tests.parts.needs import FUZZER, MissingError, demand
from tests.parts.postgres import embedded

_ROOT = Path(__file__).parents[2]
_OUT = _ROOT / "build" / "fuzz"
_PAUSE = 15.0  # seconds between two reports
_PROGRESS = re.compile(r"^#(\d+)\s.*?cov: (\d+).*?corp: (\d+)", re.MULTILINE)


@dataclass
class Fuzzer:
    """One target that runs; what it learned stays in `folder` for the next time."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]

    def found(self) -> list[Path]:
        """Inputs that broke it."""
        return sorted((self.folder / "found").iterdir())

    def progress(self) -> str:
        """Inputs tried, edges covered and inputs kept, as libFuzzer last said."""
        said = _PROGRESS.findall((self.folder / "log").read_text(errors="replace"))
        runs, edges, kept = said[-1] if said else ("0", "0", "0")
        return f"{self.name:16}{int(runs):>12,} inputs {int(edges):>6,} edges {int(kept):>6,} kept"

    def ended_well(self) -> bool:
        """Whether it ran to its end and found nothing."""
        return self.process.poll() == 0 and not self.found()


def main() -> int:
    """Fuzz, and tell: 0 if nothing was found, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int, help="how long each target runs, all of them side by side")
    parser.add_argument("targets", nargs="*", help="which; default: all")
    options = parser.parse_args()
    try:
        demand(FUZZER)
    except MissingError as error:
        print(error, file=sys.stderr)
        return 2
    names = options.targets or [*TARGETS, *MODULE_TARGETS]
    with ExitStack() as stack:
        running = [stack.enter_context(_running(name, options.seconds)) for name in names]
        _watch(running, options.seconds)
        return _summary(running)


@contextmanager
def _running(name: str, seconds: int) -> Iterator[Fuzzer]:
    folder = _OUT / name
    shutil.rmtree(folder / "found", ignore_errors=True)
    for part in ("found", "learned"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(name, folder, seconds), cwd=_ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        yield Fuzzer(name, folder, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _command(name: str, folder: Path, seconds: int) -> Sequence[str | Path]:
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=1024", f"-artifact_prefix={folder}/found/"]
    corpora = [folder / "learned", CORPUS / name]  # what is new goes into the first
    program: Sequence[str | Path] = [sys.executable, "-m", "tests.fuzz.python_target", name]
    if name in MODULE_TARGETS:
        program = [build(name, embedded(), folder, fuzzer=True)]
    return ["nice", *program, *limits, *corpora]


def _watch(running: Sequence[Fuzzer], seconds: int) -> None:
    began = time.monotonic()
    while any(fuzzer.process.poll() is None for fuzzer in running):
        time.sleep(min(_PAUSE, seconds))
        print(f">> {time.monotonic() - began:.0f} of {seconds} s", flush=True)
        for fuzzer in running:
            print(f"   {fuzzer.progress()}", flush=True)


def _summary(running: Sequence[Fuzzer]) -> int:
    print("\nfuzzing:")
    for fuzzer in running:
        print(f"   {fuzzer.progress()}  {'nothing found' if fuzzer.ended_well() else 'FOUND'}")
    broken = [fuzzer for fuzzer in running if not fuzzer.ended_well()]
    for fuzzer in broken:
        print(f"{fuzzer.name}: exit {fuzzer.process.returncode}, see {os.path.relpath(fuzzer.folder / 'log')}")
        for found in fuzzer.found():
            print(f"   {os.path.relpath(found)}: mend what it breaks, then keep it in tests/fuzz/corpus/{fuzzer.name}/")
    print("FOUND SOMETHING" if broken else "clean")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
