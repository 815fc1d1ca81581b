"""PostgreSQL's own psql with its own device flow, in a Debian root, and a person who answers its prompt."""

import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.parts.debian import DebianRoot
from tests.parts.device_pages import Person, Visit, approve

__all__ = ["A_TOKEN", "Answer", "DevicePsql", "Said"]

A_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
"""What must be in nothing that is said."""
_PROMPT: Final = re.compile(r"Visit (?P<url>https://\S+) and enter the code: (?P<code>\S+)")
_SECONDS: Final = 60
"""psql polls every 5 s; after this, it is not going to end."""

Answer = Callable[..., Visit]


@dataclass(frozen=True, slots=True)
class Said:
    """How psql ended, and what it said beyond its prompt for the device login."""

    status: int
    output: str
    errors: str
    was_asked: bool


class DevicePsql:
    """psql of Debian.

    Args:
        root: has psql and libpq-oauth, and trusts the issuer in its system store.
        ca_file: the authority of the issuer's certificate, for the person's browser.
    """

    def __init__(self, root: DebianRoot, ca_file: Path) -> None:
        self._root = root
        self._ca_file = ca_file

    def run(self, conninfo: str, sql: str, who: Person, *, answer: Answer = approve, **environment: str) -> Said:
        """Run `sql`; `who` answers the device pages in the way of `answer`.

        Args:
            conninfo: where, as whom, and by which issuer and client.
            sql: statements.
            who: sits in front of the browser.
            answer: `approve` or `deny` of tests.parts.device_pages.
            environment: of psql.
        """
        variables = [f"{name}={value}" for name, value in environment.items()]
        command = self._root.command("env", *variables, "psql", "-XAtq", "-d", conninfo, "-c", sql)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as psql:
            watchdog = threading.Timer(_SECONDS, psql.kill)
            watchdog.start()
            errors, was_asked = self._watch(psql, who, answer)
            assert psql.stdout is not None
            output = psql.stdout.read()
            status = psql.wait()
            watchdog.cancel()
        return Said(status, output.strip(), errors, was_asked)

    def _watch(self, psql: "subprocess.Popen[str]", who: Person, answer: Answer) -> tuple[str, bool]:
        """Answer the pages when psql asks for them; what else it said, and whether it asked."""
        assert psql.stderr is not None
        errors, was_asked = "", False
        for line in psql.stderr:
            if found := _PROMPT.search(line):
                answer(found["url"], who, ca_file=self._ca_file, user_code=found["code"])
                was_asked = True
            else:
                errors += line
        return errors, was_asked
