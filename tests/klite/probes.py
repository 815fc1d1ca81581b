"""The probes of a container, asked as a kubelet asks them: a command inside of it, or an address of its pod."""

import subprocess
from collections.abc import Mapping
from typing import Any, Final

import httpx

from tests.klite.cluster import ClusterError
from tests.klite.containers import Container
from tests.parts.processes import TimeUpError, wait_until

__all__ = ["await_success"]

_PAUSE: Final = 0.2
"""In place of ``periodSeconds``: nobody here is spared anything by waiting longer."""
_SECONDS: Final = 120.0
Json = Mapping[str, Any]


def await_success(spec: Json, kind: str, container: Container) -> None:
    """Wait until a probe of a container succeeds; one that it does not have has succeeded.

    Args:
        spec: of the container.
        kind: ``startupProbe`` or ``readinessProbe``.
        container: runs.

    Raises:
        ClusterError: it did not in two minutes, or the container ended; with what that printed.
    """
    if kind not in spec:
        return
    try:
        wait_until(
            lambda: _succeeds(spec, spec[kind], container), _SECONDS, f"{kind} of {container.name}", pause=_PAUSE
        )
    except TimeUpError as error:
        raise ClusterError(f"{error}\n{container.log()[-3000:]}") from error


def _succeeds(spec: Json, probe: Json, container: Container) -> bool:
    if not container.process.alive():
        raise ClusterError(f"{container.name} has ended:\n{container.log()[-3000:]}")
    match probe:
        case {"exec": {"command": words}}:
            return _runs(container, words)
        case {"httpGet": {"path": path, "port": port, **more}}:
            scheme = str(more.get("scheme", "HTTP")).lower()
            return _answers(f"{scheme}://{container.address}:{_number(spec, port)}{path}")
        case _:
            raise ClusterError(f"no such probe can be made here: {probe}")


def _runs(container: Container, words: list[str]) -> bool:
    try:
        container.execute(*words)
    except subprocess.CalledProcessError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, verify=False, timeout=5, trust_env=False).is_success  # noqa: S501 - nor does a kubelet
    except httpx.HTTPError:
        return False


def _number(spec: Json, port: int | str) -> int:
    """A port by its number, or by its name among the container's."""
    if isinstance(port, int):
        return port
    (number,) = (each["containerPort"] for each in spec["ports"] if each["name"] == port)
    return int(number)
