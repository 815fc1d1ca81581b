"""What a Kubernetes cluster says, through kubectl: kubeconfig, plugins for logging in and proxies just work."""

import json
import subprocess
from typing import Any, Final

from pgbearer.client import plain
from pgbearer.errors import PgbearerError, UnreachableError, UsageError

__all__ = ["Kubectl", "RefusedError"]

_SECONDS: Final = 60.0
_MOST: Final = 32 * 1024 * 1024


class RefusedError(PgbearerError):
    """The cluster answered, and not with what was asked for: it is not there, or we may not see it."""


class Kubectl:
    """Runs kubectl, and never with anything secret among its words.

    Args:
        namespace: None for the kubeconfig's.
        context: None for the kubeconfig's.
        program: what to run.
    """

    def __init__(self, *, namespace: str | None = None, context: str | None = None, program: str = "kubectl") -> None:
        self._command = [program]
        if context is not None:
            self._command.append(f"--context={context}")
        if namespace is not None:
            self._command.append(f"--namespace={namespace}")

    def json(self, *words: str) -> dict[str, Any]:
        """Run it with `words` for an object of JSON; raises as `text`."""
        try:
            value = json.loads(self.text(*words))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise RefusedError("no answer that can be read", where=f"kubectl {' '.join(words[:4])}")
        return value

    def text(self, *words: str) -> str:
        """Run it with `words` for what it prints.

        Raises:
            UsageError: there is no kubectl.
            UnreachableError: the cluster does not answer.
            RefusedError: it refuses, or nothing of that name is there.
        """
        where = f"kubectl {' '.join(words[:4])}"
        try:
            done = subprocess.run(  # noqa: S603  the words are ours, names among them are arguments of their own
                [*self._command, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except OSError as error:
            raise UsageError(f"{self._command[0]} cannot be run: {error.strerror}", hint="Install kubectl.") from None
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"no answer in {_SECONDS:.0f} s", where=where) from None
        if done.returncode == 0:
            if len(done.stdout) > _MOST:
                raise RefusedError("too long an answer", where=where)
            return done.stdout.decode("utf-8", errors="replace")
        lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        said = plain(lines[-1] if lines else f"it ended with {done.returncode}")  # those above are of its own log
        away = any(
            word in said for word in ("Unable to connect", "connection to the server", "was refused", "i/o timeout")
        )
        raise (UnreachableError if away else RefusedError)(said, where=where)
