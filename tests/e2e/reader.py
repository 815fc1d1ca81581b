"""Somebody at a shell who does what a page says: what they have there, where they are, and what the page has for it.

They are on the network of pods, at an address of their own: the ports that a page has them listen on are free there,
and on their loopback is what `Network` puts there, the API server and the issuer.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs import stories
from tests.klite import programs
from tests.klite.network import Place
from tests.parts.processes import launch, wait_until
from tests.parts.terminal import Terminal

__all__ = ["DOCS", "NAMES", "Page", "Reader"]

DOCS: Final = Path(__file__).parents[2] / "docs"
_SECONDS: Final = 60.0
NAMES: Final = stories.names().removeprefix("```sh\n").removesuffix("```")
"""The commands that each runbook begins with."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, by its name below docs/."""

    name: str

    @property
    def text(self) -> str:
        """All of it."""
        return (DOCS / self.name).read_text(encoding="utf-8")

    def blocks(self, language: str = "sh") -> list[str]:
        """Those that are written in a language, in their order."""
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    def command(self, *parts: str) -> str:
        """The one command within a sentence that has all these parts.

        Raises:
            ValueError: the page has none, or several.
        """
        prose = re.sub(r"```.*?```", "", self.text, flags=re.DOTALL)
        found = {each for each in re.findall(r"`([^`\n]+)`", prose) if all(part in each for part in parts)}
        (command,) = found
        return str(command)


@dataclass(frozen=True, slots=True)
class Reader:
    """A shell in `folder`, with kubectl, its plugins and ours in the path, and a kubeconfig.

    The first block of the runbooks has been run in it, as it stands.
    """

    folder: Path
    kubeconfig: Path
    place: Place

    def run(self, commands: str, *, stdin: str = "", status: int = 0, **variables: str) -> str:
        """What commands print, with more variables of the environment.

        Raises:
            AssertionError: they end with another status; with what they said.
        """
        done = subprocess.run(
            self._words(commands),
            cwd=self.folder,
            env=self._environment(variables),
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def beside(self, command: str, begun: str) -> Iterator[None]:
        """Let a command run until the end of the block, or its own; the block begins when it has printed `begun`."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            running = launch(self._words(command), log=log, env=self._environment({}))
            try:
                wait_until(lambda: begun in log.read_text() or not running.alive(), _SECONDS, command)
                assert running.alive(), log.read_text()
                yield
            finally:
                running.stop()

    def terminal(self, command: str) -> Terminal:
        """A command with a terminal, to type at."""
        return Terminal(self._words(command), self._environment({"TERM": "dumb", "PSQL_PAGER": "cat"}))

    def _words(self, commands: str) -> list[str]:
        return [
            *self.place.enter,
            "env",
            f"--chdir={self.folder}",
            "bash",
            "-euo",
            "pipefail",
            "-c",
            f"{NAMES}{commands}",
        ]

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        tools = [programs.kubectl().parent, programs.kubectl_cnpg().parent, Path(sys.executable).parent]
        path = os.pathsep.join([*map(str, tools), os.environ["PATH"]])
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig), **more}
