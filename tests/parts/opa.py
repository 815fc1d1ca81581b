"""A real Open Policy Agent over TLS, built from its Go module at the version that requirements/opa pins."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.parts import golang
from tests.parts.authority import Authority
from tests.parts.cache import cached
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until

__all__ = ["Opa", "OpaError", "check", "program", "start", "version"]

_MODULE = Path(__file__).parents[2] / "requirements" / "opa"
_PACKAGE = "github.com/open-policy-agent/opa"
_READY_SECONDS = 60.0


class OpaError(Exception):
    """OPA did not start; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Opa:
    """A running OPA."""

    url: str
    ca_file: Path
    log: Path
    process: Running

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        self.process.stop()


def version() -> str:
    """The pinned version, without its v."""
    found = re.search(rf"{re.escape(_PACKAGE)} v(\S+)", (_MODULE / "go.mod").read_text())
    return found[1] if found else "?"


def program() -> Path:
    """The program `opa` in the cache: two minutes to build on two cores when nothing is there.

    Raises:
        GoError: no Go to be had, or it does not build.
    """
    pins = "".join((_MODULE / name).read_text() for name in ("go.mod", "go.sum"))
    folder = cached(f"opa-{version()}", pins, lambda into: golang.build(_MODULE, _PACKAGE, into / "opa"))
    return folder / "opa"


def check(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of OPA's own commands, such as ``test`` or ``check``, to its end."""
    return subprocess.run([program(), *words], capture_output=True, text=True, check=False)


def start(folder: Path, authority: Authority, policies: Sequence[Path], *options: str) -> Opa:
    """Start OPA with `policies` and return when it answers.

    Args:
        folder: empty; its log goes there.
        authority: signs its certificate, for localhost and the loopback addresses.
        policies: files and folders of Rego and data.
        options: more of ``opa run``'s own.

    Raises:
        GoError: as `program`.
        OpaError: it ended, or did not answer in a minute.
    """
    port = free_port()
    certificate = authority.server("opa")
    files = [f"--tls-cert-file={certificate.cert_file}", f"--tls-private-key-file={certificate.key_file}"]
    log = folder / "opa.log"
    listen = [f"--addr=127.0.0.1:{port}", "--skip-version-check", "--disable-telemetry", *files]
    process = launch([program(), "run", "--server", *listen, *options, *policies], log=log)
    opa = Opa(f"https://localhost:{port}", authority.ca_file, log, process)
    try:
        wait_until(lambda: _answers(port) or not process.alive(), _READY_SECONDS, "OPA to answer")
    except BaseException:  # also an interrupt: nobody else knows yet that it runs
        opa.stop()
        raise
    if not process.alive():
        raise OpaError(f"OPA ended while starting\n{log.read_text(errors='replace')[-3000:]}")
    return opa


def _answers(port: int) -> bool:
    """Whether it serves; any HTTP at all will do, for it may ask for a client certificate that we have not."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)  # TLS servers of Go answer 400 to this
    except httpx.HTTPError:
        return False
    return True
