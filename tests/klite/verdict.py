"""What the API server and the webhooks would say of manifests, and what the operator would make of them."""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.klite import crds, programs

__all__ = ["Verdict", "conform", "judge", "render"]

_HEAD = re.compile(r"^\S+ (?P<what>\w+/\S+): (?:(?P<errors>\d+) error\(s\)|not checked.*)$")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one object: what is wrong with it by schema, CEL and webhook; None for a kind that nobody here knows."""

    what: str
    """``KIND/NAME``."""
    problems: tuple[str, ...] | None


def judge(file: Path) -> list[Verdict]:
    """The verdict on each object in a file of manifests, by the code of the API server and of the webhooks themselves.

    Raises:
        GoError: the program could not be built.
        subprocess.CalledProcessError: it failed on the file.
    """
    done = _run("check", [programs.offline_check(), crds.definitions(), file], allowed=(0, 1))
    verdicts: list[Verdict] = []
    problems: list[str] = []
    for line in done.splitlines():
        if head := _HEAD.match(line):
            problems = []
            verdicts.append(Verdict(head["what"], None if head["errors"] is None else ()))
        elif line.startswith("   ") and verdicts:
            problems.append(line.strip())
            verdicts[-1] = Verdict(verdicts[-1].what, tuple(problems))
        elif not line.startswith("  warning:"):  # what could not even be read
            verdicts.append(Verdict("/", (line.strip(),)))
    refused = _of_cert_manager(file)
    return [
        replace(each, problems=(*(each.problems or ()), *refused[each.what])) if each.what in refused else each
        for each in verdicts
    ]


def _of_cert_manager(file: Path) -> dict[str, list[str]]:
    """What its webhook refuses of the objects in the file, by ``KIND/NAME``."""
    refused: dict[str, list[str]] = {}
    for line in _run("check", [programs.cert_manager(), "-check", file], allowed=(0, 1)).splitlines():
        said = json.loads(line)
        refused.setdefault(said["what"], []).append(f"webhook: {said['said']}")
    return refused


def render(file: Path, folder: Path) -> dict[str, str]:
    """What the operator's own code makes of the Cluster in `file`: ``pg_hba.conf``, ``pod.yaml`` ..., by name."""
    _run("render", [programs.offline_check(), "-render", folder, crds.definitions(), file], allowed=(0,))
    return {made.name: made.read_text() for made in folder.iterdir()}


def conform(*files: Path, more_schemas: Sequence[str] = ()) -> str:
    """What kubeconform finds wrong with objects of Kubernetes' own kinds; empty if nothing is.

    Args:
        files: of manifests.
        more_schemas: further places, as its ``-schema-location``.
    """
    own = f"{crds.schemas()}/{{{{.ResourceKind}}}}_{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}.json"
    places = [word for place in (own, *more_schemas) for word in ("-schema-location", place)]
    return _run("conform", [programs.kubeconform(), "-strict", "-ignore-missing-schemas", *places, *files], (0, 1))


def _run(what: str, command: Sequence[str | Path], allowed: Sequence[int]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise subprocess.CalledProcessError(done.returncode, what, done.stdout, done.stderr)
    return done.stdout
