"""A process of its own that gets tokens as a command does: one for each line it reads, told in a line of JSON.

Used by tests of many processes at once. It shows no token, only its `token_ref`.
"""

import json
import sys
from pathlib import Path

from pgbearer.client import FileStore, PersonSource
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.private import PrivateFolder
from pgbearer.errors import PgbearerError

__all__ = ["main"]


def main(issuer: str, ca_file: str, folder: str, how: str) -> None:
    """Get a token for each line, each time as if it were the first."""
    store = FileStore(StateFolder(PrivateFolder(Path(folder))))
    _say("ready")
    for _ in sys.stdin:
        source = PersonSource(
            issuer, "cli", how="device" if how == "device" else "never", store=store, ca_file=Path(ca_file)
        )
        try:
            _say(json.dumps({"ref": source.token().ref}))
        except PgbearerError as error:
            _say(json.dumps({"error": type(error).__name__}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
