"""What an API server is told of kinds that are not its own, and schemas of those that are: from pinned Go modules."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.parts import golang
from tests.parts.cache import cached

__all__ = ["WEBHOOKS", "definitions", "schemas"]

_REQUIREMENTS = Path(__file__).parents[2] / "requirements"
_PINS: Final = _REQUIREMENTS / "crds"
WEBHOOKS: Final = "webhooks.txt"
"""In the folder of the definitions: the operator's own webhook configurations (YAML), not to be applied as they are."""

_DEFINITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "github.com/cloudnative-pg/cloudnative-pg": ("config/crd/bases/*.yaml",),
    "github.com/external-secrets/external-secrets": ("config/crds/bases/*external-secrets.io_*.yaml",),
    "github.com/cert-manager/cert-manager": ("deploy/crds/*.yaml",),
    "github.com/prometheus-operator/prometheus-operator": tuple(
        f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
        for kind in ("servicemonitors", "podmonitors", "prometheusrules")
    ),
    "github.com/spiffe/spire-controller-manager": ("config/crd/bases/*.yaml",),
}


def definitions() -> Path:
    """A folder of CustomResourceDefinitions below one folder a project, with `WEBHOOKS` beside them.

    Raises:
        GoError: a module could not be had, or is not the pinned one.
    """
    return cached("crds", repr(_DEFINITIONS) + WEBHOOKS + (_PINS / "go.sum").read_text(), _collect)


def schemas() -> Path:
    """A folder of JSON schemas of Kubernetes' own kinds, strict, as kubeconform looks for them.

    Raises:
        GoError: as `definitions`.
    """
    pins = _REQUIREMENTS / "kubernetes"
    return cached("kubernetes-schemas", (pins / "go.mod").read_text(), _split_openapi)


def _collect(folder: Path) -> None:
    for module, patterns in _DEFINITIONS.items():
        source = golang.source(_PINS, module)
        target = folder / module.rpartition("/")[2]
        target.mkdir()
        for file in (file for pattern in patterns for file in sorted(source.glob(pattern))):
            shutil.copyfile(file, target / file.name)
        if (configured := source / "config/webhook/manifests.yaml").exists() and module.endswith("/cloudnative-pg"):
            shutil.copyfile(configured, folder / WEBHOOKS)


def _split_openapi(folder: Path) -> None:
    source = golang.source(_REQUIREMENTS / "kubernetes", "k8s.io/kubernetes")
    found: dict[str, Any] = json.loads((source / "api/openapi-spec/swagger.json").read_text())["definitions"]
    for definition in found.values():
        _make_strict(definition)
    for name, definition in found.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            if name.endswith(f".{kind['kind']}") and not kind["kind"].endswith("List"):
                group = kind["group"] or kind["version"]
                document = {**definition, "definitions": {each: found[each] for each in _needed(definition, found)}}
                file = folder / f"{kind['kind'].lower()}_{group}_{kind['version']}.json"
                file.write_text(json.dumps(document))


def _make_strict(schema: dict[str, Any]) -> None:
    """A field that is not known is an error, and int-or-string takes both."""
    if schema.get("properties"):
        schema.setdefault("additionalProperties", False)
    if schema.get("format") == "int-or-string":
        del schema["type"]
        schema["oneOf"] = [{"type": "string"}, {"type": "integer"}]


def _needed(schema: Mapping[str, Any], found: Mapping[str, Any]) -> set[str]:
    """The names of all definitions that `schema` leads to."""
    needed: set[str] = set()
    waiting = [schema]
    while waiting:
        for name in _named_in(waiting.pop()):
            if name not in needed:
                needed.add(name)
                waiting.append(found[name])
    return needed


def _named_in(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _named_in(item)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for item in node.values():
            yield from _named_in(item)
