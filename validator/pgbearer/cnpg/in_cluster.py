"""Judges the server of a running Cluster from within: psql in its primary's container, as the operator's plugin does.

That needs no password, no token and no line of pg_hba but the operator's own for the socket; in Kubernetes the right to
``create`` on ``pods/exec``, which is as good as being the superuser.
"""

import json
import re
from typing import Any, Final, Protocol

from pgbearer.cnpg.finding import Finding
from pgbearer.cnpg.kubectl import RefusedError
from pgbearer.cnpg.live import QUESTION, judge_answer
from pgbearer.cnpg.stream import mapping, text
from pgbearer.errors import UsageError

__all__ = ["NAME", "Source", "ask_cluster", "ask_instance", "get_cluster"]

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What Kubernetes takes for one, and kubectl for no option."""


class Source(Protocol):
    """What answers: `Kubectl`."""

    def json(self, *words: str) -> dict[str, Any]:
        """An object."""
        ...

    def text(self, *words: str) -> str:
        """Text."""
        ...


def get_cluster(source: Source, cluster: str) -> dict[str, Any]:
    """The Cluster as Kubernetes has it.

    Raises:
        UsageError: there is no kubectl, or `cluster` is no name.
        UnreachableError: the Kubernetes cluster does not answer.
        RefusedError: there is no such Cluster, or we may not see it.
    """
    if not NAME.fullmatch(cluster):
        raise UsageError(f"{cluster[:100]!r} is no name of a Cluster")
    return source.json("get", "clusters.postgresql.cnpg.io", cluster, "--output=json")


def ask_cluster(source: Source, cluster: str) -> list[Finding]:
    """Judge the primary of a Cluster; raises as `get_cluster` and `ask_instance`."""
    status = mapping(get_cluster(source, cluster).get("status"))
    return ask_instance(source, text(status.get("currentPrimary")))


def ask_instance(source: Source, pod: str) -> list[Finding]:
    """Judge the server in a pod.

    Raises:
        RefusedError: there is no such pod, we may not run anything in it, or it answers something else.
    """
    if not NAME.fullmatch(pod):
        raise RefusedError("there is no primary to ask for the lines in force")
    words = ("--container=postgres", "--", "psql", "-XAtq", "-d", "postgres", "-c", " ".join(QUESTION.split()))
    try:
        answer = json.loads(source.text("exec", pod, *words))
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise RefusedError(f"{pod} does not say what is in force")
    return judge_answer(answer)
