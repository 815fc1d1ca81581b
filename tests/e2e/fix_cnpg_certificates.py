"""A Cluster and its service whose certificates are changed as the runbook says, and somebody who logs in meanwhile."""

import base64
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests import oauth_token
from tests.cnpg.manifests import CNPG, Rendered
from tests.cnpg.own import Site, own
from tests.e2e.fix_cnpg_login import NAMESPACE, Databases, running_service
from tests.e2e.fix_keycloak import Device, IssuedToken, person
from tests.e2e.fix_operator import OperatorStage
from tests.e2e.reader import NAMES
from tests.klite import programs
from tests.klite.cluster import Cluster
from tests.parts.device_pages import approve
from tests.parts.processes import wait_until

__all__ = ["Certified", "Logins", "blocks", "by_cert_manager", "by_hand", "shell"]

_PAGE: Final = CNPG.parent / "docs" / "runbooks" / "certificates.md"
_SERVICE: Final = ("127.0.0.1", 8443)
_SECONDS: Final = 120.0
_RENEWED: Final = "new certificate for logins over the network"


class Logins:
    """Somebody who logs in again and again, each time over a new connection, until the end of the block."""

    def __init__(self, databases: Databases) -> None:
        self._where: dict[str, Any] = conninfo_to_dict(databases.conninfo("app_readonly"))
        self._issuer = databases.site.issuer
        self._token = _token(databases.site)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.good = 0
        self.failures: list[str] = []

    def __enter__(self) -> "Logins":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def more(self) -> None:
        """Wait for three logins that have begun after this; one that fails ends the test."""
        enough = self.good + 4  # the first may have begun before
        wait_until(lambda: self.good >= enough or bool(self.failures), _SECONDS, "logins to be good")
        assert self.failures == []

    def _go_on(self) -> None:
        while not self._over.is_set():
            try:
                oauth_token.connect(self._token.compact, issuer=self._issuer, **self._where).close()
                self.good += 1
            except psycopg.OperationalError as error:
                self.failures.append(str(error))


@dataclass
class Certified:
    """The databases, and the shell of who follows the runbook: in `folder` is ``cnpg/``."""

    databases: Databases
    folder: Path

    def run(self, commands: str) -> str:
        """What the commands of the page print.

        Raises:
            AssertionError: one failed; with what it said.
        """
        return shell(commands, self.folder, self.databases.stage.cluster)

    def change(self, *steps: str) -> None:
        """Do the steps, each seen everywhere before the next, under logins: none fails, both certificates are new."""
        before = self.shown()
        with Logins(self.databases) as logins:
            for step in steps:
                self.run(step)
                self.see(logins)
        assert logins.failures == []
        assert not set(before) & set(self.shown())

    def see(self, logins: Logins) -> None:
        """Let the pods see new files as they do within a minute or so, the service's first; logins go on throughout."""
        log = self.databases.decider.log
        before = log().count(_RENEWED)
        self.databases.pod.refresh()
        wait_until(lambda: log().count(_RENEWED) > before, _SECONDS, "the service to take the new files")
        logins.more()
        self.databases.instance.pod.refresh()
        logins.more()

    def shown(self) -> tuple[bytes, str]:
        """The certificates that service and Cluster show now."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(_SERVICE, timeout=30) as plain, context.wrap_socket(plain) as connection:
            service = connection.getpeercert(binary_form=True)
        assert service is not None
        return service, self.databases.instance.run("cat", "/projected/pgbearer/tls.crt")

    def pair(self, name: str) -> Path:
        """The Cluster's certificate and key as they are in its Secret, as one file that is kept."""
        found = self.databases.stage.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/pgbearer-client-tls")["data"]
        file = self.folder / f"{name}.pem"
        file.touch(mode=0o600)
        file.write_bytes(base64.b64decode(found["tls.crt"]) + base64.b64decode(found["tls.key"]))
        return file

    def admitted(self, pair: Path) -> bool:
        """Whether the service speaks to whoever shows this certificate."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(pair)
        try:
            with socket.create_connection(_SERVICE, timeout=30) as plain, context.wrap_socket(plain) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: pgbearer\r\n\r\n")
                return connection.recv(4) == b"HTTP"
        except ssl.SSLError as error:
            if error.reason != "TLSV1_ALERT_UNKNOWN_CA":
                raise
            return False


def blocks() -> list[str]:
    """The commands of the page, in its order."""
    return re.findall(r"```sh\n(.*?)```", _PAGE.read_text(), re.DOTALL)


def shell(commands: str, folder: Path, cluster: Cluster) -> str:
    """What commands print, run in `folder` with the cluster's kubectl.

    Raises:
        AssertionError: one failed; with what it said.
    """
    path = os.pathsep.join([str(programs.kubectl().parent), os.environ["PATH"]])
    words = ["bash", "-euo", "pipefail", "-c", f"{NAMES}{commands}"]
    ours = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run(words, cwd=folder, env=ours, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def by_cert_manager(
    operator_stage: OperatorStage, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Certified]:
    """overlays/service with components/trust, and the ConfigMap for it made as the runbook says."""
    folder = tmp_path_factory.mktemp("own")
    manifests = own(folder, site, ["overlays/service"], ["components/trust"], policy="base/pgbearer.yaml")
    operator_stage.cluster.kubectl("apply", "-f", "-", stdin=manifests.text)
    (trust,) = (each for each in blocks() if "create configmap" in each and "old-ca" not in each and "cp " not in each)
    shell(trust, folder, operator_stage.cluster)
    with _certified(operator_stage, site, manifests, folder) as certified:
        yield certified
    operator_stage.cluster.kubectl("-n", NAMESPACE, "delete", "configmap", "pgbearer-trust", "--ignore-not-found")


@pytest.fixture(scope="module")
def by_hand(operator_stage: OperatorStage, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    """What overlays/service has, with certificates made by openssl in own-certificates/certificates."""
    folder = tmp_path_factory.mktemp("by-hand")
    (folder / "cnpg").symlink_to(CNPG)
    mine = folder / "own-certificates"
    mine.mkdir()
    (make,) = {
        line for each in blocks() for line in each.splitlines() if line.endswith("own-certificates/certificates")
    }
    shell(make, folder, operator_stage.cluster)
    parts = ["components/service", str(mine / "certificates")]
    manifests = own(mine, site, ["base"], parts, policy="base/pgbearer.yaml")
    with _certified(operator_stage, site, manifests, folder) as certified:
        yield certified


@contextmanager
def _certified(stage: OperatorStage, site: Site, manifests: Rendered, folder: Path) -> Iterator[Certified]:
    with running_service(stage, site, manifests) as databases:
        yield Certified(databases, folder)


def _token(site: Site) -> IssuedToken:
    """A fresh one of Alice's."""
    device = Device(site.issuer, site.ca_file)
    codes = device.begin("openid db:demo")
    approve(codes.verification_uri_complete, person("alice"), ca_file=site.ca_file)
    issued = device.poll(codes)
    device.close()
    assert isinstance(issued, IssuedToken)
    return issued
