"""A real Cerbos over TLS, fetched with npm by the integrity hash of requirements/cerbos."""

import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.parts import npm
from tests.parts.authority import Authority
from tests.parts.cache import cached
from tests.parts.needs import NPM, X86_64, demand
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until

__all__ = ["Cerbos", "CerbosError", "check", "program", "start", "version"]

_LOCK = Path(__file__).parents[2] / "requirements" / "cerbos"
_PACKAGE = "@cerbos/cerbos-linux-x64"
_READY_SECONDS = 60.0


class CerbosError(Exception):
    """Cerbos did not start; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Cerbos:
    """A running Cerbos."""

    url: str
    ca_file: Path
    log: Path
    process: Running

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        self.process.stop()


def version() -> str:
    """The pinned version."""
    return npm.version(_LOCK, _PACKAGE)


def program() -> Path:
    """The program in the cache.

    Raises:
        MissingError: no npm, or not the processor that the program is for.
        NpmError: npm could not fetch it, or what it fetched has another hash.
    """
    demand(X86_64, NPM)
    lock = (_LOCK / "package-lock.json").read_text()
    folder = cached(
        f"cerbos-{version()}", f"{platform.machine()} {lock}", lambda into: npm.install(_LOCK, into, "Cerbos (32 MB)")
    )
    return folder / "node_modules" / _PACKAGE / "cerbos-linux-x64"


def check(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of Cerbos' own commands, such as ``compile``, to its end."""
    return subprocess.run([program(), *words], capture_output=True, text=True, check=False)


def start(folder: Path, authority: Authority, policies: Path) -> Cerbos:
    """Start Cerbos with the folder `policies` and return when it answers.

    Args:
        folder: empty; configuration and log go there.
        authority: signs its certificate, for localhost and the loopback addresses.
        policies: a folder of Cerbos policies.

    Raises:
        MissingError, NpmError: as `program`.
        CerbosError: it ended; its log is in the message.
        TimeUpError: it did not answer in a minute.
    """
    port = free_port()
    settings = folder / "cerbos.json"
    settings.write_text(json.dumps(_settings(authority, policies, port)))  # JSON is YAML
    log = folder / "cerbos.log"
    process = launch([program(), "server", f"--config={settings}"], log=log)
    cerbos = Cerbos(f"https://localhost:{port}", authority.ca_file, log, process)
    try:
        wait_until(lambda: _answers(port) or not process.alive(), _READY_SECONDS, "Cerbos to answer")
    except BaseException:  # also an interrupt: nobody else knows yet that it runs
        cerbos.stop()
        raise
    if not process.alive():
        raise CerbosError(f"Cerbos ended while starting\n{log.read_text(errors='replace')[-3000:]}")
    return cerbos


def _settings(authority: Authority, policies: Path, port: int) -> dict[str, object]:
    certificate = authority.server("cerbos")
    return {
        "server": {
            "httpListenAddr": f"127.0.0.1:{port}",
            "grpcListenAddr": f"127.0.0.1:{free_port()}",
            "tls": {"cert": str(certificate.cert_file), "key": str(certificate.key_file)},
        },
        "storage": {"driver": "disk", "disk": {"directory": str(policies), "watchForChanges": False}},
        "telemetry": {"disabled": True},
    }


def _answers(port: int) -> bool:
    """Whether it serves; any HTTP at all will do."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5)  # TLS servers of Go answer 400 to this
    except httpx.HTTPError:
        return False
    return True
