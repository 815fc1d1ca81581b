"""What the operator's own code makes of the Cluster in rendered manifests: HBA lines, settings, an instance's pod."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import yaml

from tests.cnpg.manifests import Json, Rendered, rendered
from tests.klite.verdict import render

__all__ = ["Made", "made", "made_of"]

_SETTING: Final = re.compile(r"^([\w.]+) = '(.*)'$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Made:
    """`hba` has neither comments nor empty lines; `pod` is the first instance's."""

    hba: tuple[str, ...]
    settings: dict[str, str]
    pod: Json


def made_of(manifests: Rendered) -> Made:
    """What the operator makes of the one Cluster.

    Raises:
        GoError: the program could not be built.
        subprocess.CalledProcessError: the Cluster is refused.
    """
    (cluster,) = manifests.of("Cluster")
    with TemporaryDirectory() as name:
        file = Path(name) / "cluster.yaml"
        file.write_text(yaml.safe_dump(dict(cluster)))
        files = render(file, Path(name) / "made")
    hba = tuple(line for line in files["pg_hba.conf"].splitlines() if line.strip() and not line.startswith("#"))
    return Made(hba, dict(_SETTING.findall(files["custom.conf"])), yaml.safe_load(files["pod.yaml"]))


@cache
def made(overlay: str) -> Made:
    """Of an overlay of cnpg/overlays; raises as `made_of`."""
    return made_of(rendered(overlay))
