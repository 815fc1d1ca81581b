"""The manifests of cnpg/ as kustomize builds them: an overlay, or an overlay of one's own beside them."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.klite import programs

__all__ = ["CNPG", "OVERLAYS", "Json", "Rendered", "build", "pod_specs", "rendered", "with_components"]

CNPG: Final = Path(__file__).parents[2] / "cnpg"
OVERLAYS: Final = tuple(sorted(folder.name for folder in (CNPG / "overlays").iterdir()))
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What ``kubectl apply -k`` would send."""

    text: str
    objects: tuple[Json, ...]

    def of(self, kind: str) -> tuple[Json, ...]:
        """All objects of a kind."""
        return tuple(each for each in self.objects if each["kind"] == kind)

    def one(self, kind: str, name: str) -> Json:
        """The one object of this kind and name.

        Raises:
            LookupError: there is none, or more than one.
        """
        found = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} of {kind}/{name}")
        return found[0]


def build(folder: Path) -> Rendered:
    """What kustomize makes of a folder.

    Raises:
        GoError: kustomize could not be built.
        AssertionError: it refuses the folder, in its own words.
    """
    done = subprocess.run([programs.kustomize(), "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # it warns of what it will not understand any more
    return Rendered(done.stdout, tuple(each for each in yaml.safe_load_all(done.stdout) if each))


@cache
def rendered(overlay: str) -> Rendered:
    """An overlay of cnpg/overlays; raises as `build`."""
    return build(CNPG / "overlays" / overlay)


def with_components(folder: Path, resources: Sequence[str], components: Sequence[str] = (), **more: Any) -> Rendered:
    """A kustomization of somebody's own, written into an empty `folder`.

    Args:
        folder: for its file.
        resources: folders below cnpg/, e.g. ``overlays/service``.
        components: likewise, e.g. ``components/monitoring``.
        more: its other keys.
    """

    def towards(names: Sequence[str]) -> list[str]:
        return [os.path.relpath(CNPG / name, folder.resolve()) for name in names]

    kustomization = {"resources": towards(resources), "components": towards(components), **more}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return build(folder)


def pod_specs(objects: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """The spec of each pod that controllers of Kubernetes' own make of `objects`, with whose it is."""
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        match each:
            case {"kind": "Pod", "spec": spec}:
                yield name, spec
            case {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}:
                yield name, spec
            case {"spec": {"template": {"spec": {"containers": _} as spec}}}:
                yield name, spec
