"""``python -m demo up|logs|down``, which is what `make demo`, `make demo-logs` and `make demo-down` run."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from demo import stack, state
from demo.service import ServiceError
from demo.state import Stack
from demo.story import Told, tell
from pgbearer.errors import PgbearerError
from tests.parts.cache import CacheError
from tests.parts.device_pages import PagesError
from tests.parts.keycloak import KeycloakError
from tests.parts.module import BuildError
from tests.parts.needs import MissingError
from tests.parts.processes import TimeUpError
from tests.parts.progress import say
from tests.parts.tls_postgres import TlsPostgresError

EXPECTED = (
    BuildError,
    CacheError,
    KeycloakError,
    MissingError,
    PagesError,
    PgbearerError,
    ServiceError,
    TimeUpError,
    TlsPostgresError,
)
LAST_LINES = 25

console = Console(highlight=False, soft_wrap=True)


def up() -> int:
    """Start the demo, or use the one that runs, and tell the story with it; 0 only if all went as it must."""
    running = _running() or stack.start()
    console.print()
    wrong = 0
    for told in tell(running):
        _show(told, running)
        wrong += not told.as_it_must
    _show_what_next(running)
    return 1 if wrong else 0


def logs() -> int:
    """Print the last lines of every part's log."""
    running = state.remembered()
    if running is None:
        say("no demo is running; start one with: make demo")
        return 1
    for name, file in running.logs.items():
        console.rule(f"{name}: {file}", align="left")
        lines = Path(file).read_text(errors="replace").splitlines() if Path(file).exists() else []
        sys.stdout.write("".join(f"{line}\n" for line in lines[-LAST_LINES:]))
        sys.stdout.flush()
    return 0


def down() -> int:
    """Stop the demo and remove what it made."""
    running = state.remembered()
    if running is not None:
        stack.stop(running)
    state.forget()
    say("the demo is down")
    return 0


def _running() -> Stack | None:
    """The demo that runs; what is left of one that has ended, in part or in whole, is cleared away."""
    running = state.remembered()
    if running is not None and running.alive():
        say("the demo is running already: this is its story told again (stop it with: make demo-down)")
        return running
    if running is not None:
        say("clearing away a demo of which only a part still runs")
        stack.stop(running)
    state.forget()
    return None


def _show(told: Told, running: Stack) -> None:
    chapter = told.chapter
    outcome = "[green]in[/]" if told.reason == "allowed" else f"[yellow]refused[/] {told.reason}"
    console.print(f"[bold]{chapter.person}[/] as [bold]{chapter.role}[/]: {outcome}")
    console.print(f"    {told.seen}", markup=False)
    console.print(f"    decided by {told.decided_by}", markup=False)
    if told.reason == "allowed":
        console.print(f"    decision {told.decision_id}")
    else:
        sys.stdout.write(
            f"    why: {_pgbearer()} explain --decision {told.decision_id} --socket {running.admin_socket}\n"
        )
        sys.stdout.flush()
    if not told.as_it_must:
        console.print(
            f"    [red]with the policy that ships it is {chapter.reason}: was it changed? if not, see make demo-logs[/]"
        )


def _show_what_next(running: Stack) -> None:
    pgbearer = _pgbearer()
    console.print("\nAll of it is running. To log in yourself, as alice, bob or carol (password demo-password-NAME):\n")
    sys.stdout.write(
        f'  {pgbearer} connect "{running.conninfo("app_readonly")}" \\\n'
        f"    --issuer {running.issuer} --scope db:demo --ca-file {running.ca_file}\n\n"
    )
    sys.stdout.flush()
    sys.stdout.write(
        "That login is kept. To end it, and be somebody else:\n\n"
        f"  {pgbearer} logout --issuer {running.issuer} --ca-file {running.ca_file}\n\n"
    )
    sys.stdout.flush()
    console.print(f"Your browser does not know the demo's authority, {running.ca_file}, and will say so.")
    console.print(f"Who may do what stands in {state.folder() / 'pgbearer.yaml'}; a saved change is in force at once.")
    sys.stdout.write(f"Who was refused, and why: {pgbearer} decisions list --socket {running.admin_socket}\n")
    sys.stdout.flush()
    console.print("What the parts say: make demo-logs. Stop them: make demo-down.")


def _pgbearer() -> Path:
    return Path(sys.executable).with_name("pgbearer")


def main(words: list[str]) -> int:
    """Run one command; what goes wrong in a foreseeable way is a message, not a traceback."""
    commands = {"up": up, "logs": logs, "down": down}
    if len(words) != 1 or words[0] not in commands:
        say(f"usage: python -m demo {'|'.join(commands)}")
        return 2
    os.umask(0o022)  # PostgreSQL's uid must be able to read what root unpacks
    for ending in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(ending, _leave)
    try:
        if words == ["logs"]:
            return logs()
        with state.alone():
            return commands[words[0]]()
    except EXPECTED as error:
        say(f"the demo stopped: {error}")
        return 1
    except KeyboardInterrupt:
        say("the demo was interrupted; what it had not finished starting is stopped")
        return 130


def _leave(number: int, _frame: object) -> NoReturn:
    """Leave as an interrupt would, so that what is half started is stopped."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
