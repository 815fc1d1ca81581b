"""Keycloak from a container, where an engine really runs and Java or Maven is missing.

The engine's client stays in the foreground as the process that is waited for and stopped; it passes the signal on, and
the container is removed with it.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.parts.authority import Certificate
from tests.parts.progress import step

__all__ = ["command", "engine", "pull"]


def engine() -> str | None:
    """The container engine of this machine that answers: docker, else podman; None if neither does."""
    for name in ("docker", "podman"):
        if shutil.which(name) and _answers(name):
            return name
    return None


def pull(name: str, image: str) -> None:
    """Fetch `image` with the engine `name`; raises CalledProcessError with the engine's words in `stderr`."""
    with step(f"{name} fetches {image}, or what it already has"):
        subprocess.run([name, "pull", "--quiet", image], check=True, capture_output=True, text=True)


def command(
    name: str, image: str, imports: Path, certificate: Certificate, ports: Sequence[int], arguments: Sequence[str]
) -> list[str]:
    """The command line that runs Keycloak in a container of this run.

    Args:
        name: of the engine.
        image: of Keycloak.
        imports: folder with realm files.
        certificate: visible inside under the paths that it has outside.
        ports: published on the loopback under their own numbers.
        arguments: for kc.sh.
    """
    published = [f"--publish=127.0.0.1:{port}:{port}" for port in ports]
    mounted = [
        f"--volume={imports}:/opt/keycloak/data/import:ro",
        *(f"--volume={file}:{file}:ro" for file in (certificate.cert_file, certificate.key_file)),
    ]
    # as ourselves, for the key is readable to us alone; names without values take them from the client's environment
    who = ["--userns=keep-id"] if name == "podman" and os.geteuid() != 0 else [f"--user={os.geteuid()}:0"]
    secrets = ["--env=KC_BOOTSTRAP_ADMIN_USERNAME", "--env=KC_BOOTSTRAP_ADMIN_PASSWORD", "--env=JAVA_OPTS_KC_HEAP"]
    return [name, "run", "--rm", "--init", *who, *published, *mounted, *secrets, image, *arguments]


def _answers(name: str) -> bool:
    try:
        return subprocess.run([name, "info"], capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False
