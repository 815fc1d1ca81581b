"""A real Secret Service (gnome-keyring) on a session bus of its own, for programs that are started below it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["with_secret_service"]

_START = """
printf '\\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null || exit 99
exec "$@"
"""


def with_secret_service(
    command: Sequence[str | Path], *, home: Path, env: Mapping[str, str], unlocked: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `command` with a Secret Service whose keyring is below `home`; bus and daemon end with it.

    Args:
        command: program and arguments.
        home: the home folder of the session; its keyring lasts from one call to the next.
        env: the rest of the environment.
        unlocked: whether somebody has logged in, with an empty password; else the keyring is locked, and nobody is
            there to unlock it.
    """
    inside = ["sh", "-c", _START, "session", *map(str, command)] if unlocked else [*map(str, command)]
    surroundings = {**env, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "NO_AT_BRIDGE": "1"}
    return subprocess.run(
        ["dbus-run-session", "--", *inside], env=surroundings, capture_output=True, text=True, timeout=120
    )
