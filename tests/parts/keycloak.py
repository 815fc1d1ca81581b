"""A real Keycloak over TLS, started for one run: fetched with Maven, built once into the cache, its database in memory.

Keycloak augments itself for its build options; doing that once (`kc.sh build`) halves every later start and keeps the
shared distribution unwritten, so that a demo and a test run can live side by side.
"""

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.parts import container, maven
from tests.parts.archives import unpack
from tests.parts.authority import Authority, Certificate
from tests.parts.cache import cached
from tests.parts.needs import JAVA, MAVEN, Need, demand, missing
from tests.parts.ports import free_port
from tests.parts.processes import Running, TimeUpError, launch, wait_until
from tests.parts.progress import step

__all__ = ["ADMIN", "RUNTIME", "VERSION", "Keycloak", "KeycloakError", "distribution", "start"]

VERSION = "26.7.4"
ADMIN = "demo-admin"
"""The bootstrap administrator of the realm ``master``; the password is the caller's to choose."""

_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"
_SHA256 = "04823c336b797a7e18889a44262a7a64e6bf624cbbcc518c85e2622176ff2eee"
_IMAGE = f"quay.io/keycloak/keycloak:{VERSION}"
_BUILD = ("--db=dev-mem", "--health-enabled=true", "--features=authzen", "--https-client-auth=request")
_HEAP = "-Xms64m -Xmx768m"
_READY_SECONDS = 180.0  # 8 s alone on 2 cores; a loaded machine or a cold disk takes many times that


RUNTIME = Need(
    "Java 17 or newer with Maven, or a running container engine",
    "Keycloak runs on one of them",
    "Install them with: apt-get install default-jre-headless maven.",
    lambda: not missing(JAVA, MAVEN) or container.engine() is not None,
)


class KeycloakError(Exception):
    """Keycloak could not be built or did not start; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Keycloak:
    """A running Keycloak. Everything it needs to be stopped is in `process`, so another command can do that."""

    url: str
    management_url: str
    ca_file: Path
    log: Path
    process: Running

    def issuer(self, realm: str = "demo") -> str:
        """The issuer of `realm`, byte for byte as in its tokens."""
        return f"{self.url}/realms/{realm}"

    def ready(self) -> bool:
        """Whether its health endpoint says UP: started, and every realm imported."""
        try:
            reply = httpx.get(f"{self.management_url}/health/ready", verify=_trust(self.ca_file), timeout=5)
        except httpx.HTTPError:
            return False
        return reply.status_code == httpx.codes.OK and json.loads(reply.text)["status"] == "UP"

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        self.process.stop()


def distribution() -> Path:
    """The unpacked, built distribution in the cache.

    Raises:
        MissingError: no Java or no Maven.
        MavenError: Maven could not fetch it, or what it fetched is not what is pinned here.
        KeycloakError: its build failed.
    """
    demand(JAVA, MAVEN)
    return cached(f"keycloak-{VERSION}", " ".join((_SHA256, *_BUILD)), _fetch_and_build)


def start(
    folder: Path, authority: Authority, realms: Sequence[Path], *, admin_password: str, port: int | None = None
) -> Keycloak:
    """Start Keycloak in `folder` and return when it is ready.

    Args:
        folder: made anew for this run: configuration links, imported realms, log.
        authority: signs its certificate, for localhost and the loopback addresses.
        realms: realm files; each is imported under its own file name.
        admin_password: of the administrator `ADMIN`; handed over in the child's environment only.
        port: of https on the loopback; None takes a free one.

    Raises:
        MissingError: no Java or no Maven, and no container engine either.
        MavenError: it could not be fetched.
        KeycloakError: it could not be built, it ended, or was not ready in three minutes.
    """
    ports = _Ports(port or free_port(), free_port())
    certificate = authority.server("keycloak")
    imports = folder / "data" / "import"
    imports.mkdir(parents=True)
    for realm in realms:
        shutil.copy(realm, imports)
    if missing(JAVA, MAVEN) and (engine := container.engine()):
        command = _in_container(engine, imports, certificate, ports)
    else:
        command = _on_this_machine(folder, certificate, ports, authority.ca_file)
    log = folder / "keycloak.log"
    process = launch(command, log=log, env=_environment(admin_password))
    where = (f"https://localhost:{ports.https}", f"https://localhost:{ports.management}")
    keycloak = Keycloak(*where, authority.ca_file, log, process)
    try:
        with step(f"Keycloak {VERSION} starts on {keycloak.url}"):
            _await_ready(keycloak)
    except BaseException:  # also an interrupt: nobody else knows yet that it runs
        keycloak.stop()
        raise
    return keycloak


@dataclass(frozen=True, slots=True)
class _Ports:
    https: int
    management: int


def _on_this_machine(folder: Path, certificate: Certificate, ports: _Ports, ca_file: Path) -> list[str]:
    """A home of its own for this run; kc.sh takes the folder above its own for it, so bin/ is a copy, lib/ a link.

    Clients may show certificates that `ca_file` signed, to prove themselves or have tokens bound to them (RFC 8705);
    and Keycloak trusts it where it fetches keys itself.
    """
    built = distribution()
    for kept in ("lib", "conf", "providers", "themes"):
        (folder / kept).symlink_to(built / kept)
    (folder / "bin").mkdir()
    shutil.copy(built / "bin" / "kc.sh", folder / "bin" / "kc.sh")
    loopback = ["--http-host=127.0.0.1", "--http-management-host=127.0.0.1"]
    trust = [f"--https-trust-store-file={ca_file}", "--https-trust-store-type=pem", f"--truststore-paths={ca_file}"]
    return [str(folder / "bin" / "kc.sh"), "start", "--optimized", *loopback, *trust, *_options(certificate, ports)]


def _in_container(engine: str, imports: Path, certificate: Certificate, ports: _Ports) -> list[str]:
    try:
        container.pull(engine, _IMAGE)
    except subprocess.CalledProcessError as error:
        raise KeycloakError(f"{engine} could not fetch {_IMAGE}: {error.stderr.strip()}") from None
    arguments = ["start-dev", *_BUILD, *_options(certificate, ports)]
    return container.command(engine, _IMAGE, imports, certificate, (ports.https, ports.management), arguments)


def _options(certificate: Certificate, ports: _Ports) -> list[str]:
    return [
        "--import-realm",
        "--cache=local",
        "--http-enabled=false",
        f"--https-port={ports.https}",
        f"--hostname=https://localhost:{ports.https}",
        f"--https-certificate-file={certificate.cert_file}",
        f"--https-certificate-key-file={certificate.key_file}",
        f"--http-management-port={ports.management}",
    ]


def _environment(admin_password: str) -> Mapping[str, str]:
    # not ours whole: KC_* and JAVA_OPTS* of the caller would change what is under test
    names = ("PATH", "HOME", "JAVA_HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_HOST")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {
        **kept,
        "JAVA_OPTS_KC_HEAP": _HEAP,
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": admin_password,
    }


def _await_ready(keycloak: Keycloak) -> None:
    try:
        wait_until(
            lambda: keycloak.ready() or not keycloak.process.alive(), _READY_SECONDS, "Keycloak to be ready", pause=0.5
        )
    except TimeUpError as error:
        raise KeycloakError(f"{error}\n{_tail(keycloak.log)}") from None
    if not keycloak.process.alive():
        raise KeycloakError(f"Keycloak ended while starting\n{_tail(keycloak.log)}")


def _fetch_and_build(folder: Path) -> None:
    unpack(maven.fetch(_ARTIFACT, _SHA256, folder, "176 MB"), folder)
    _run([folder / "bin" / "kc.sh", "build", "--cache=local", *_BUILD], "Keycloak's build")


def _run(command: Sequence[str | Path], who: str) -> None:
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=None)
    if done.returncode != 0:
        raise KeycloakError(f"{who} failed with exit code {done.returncode}:\n{done.stdout[-2000:]}")


def _trust(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


def _tail(log: Path, characters: int = 3000) -> str:
    return log.read_text(errors="replace")[-characters:] if log.exists() else "(no log)"
