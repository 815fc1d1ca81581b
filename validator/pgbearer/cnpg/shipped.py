"""The manifests that come with pgbearer, put together as kustomize does with what they use of it.

Kustomize itself is the measure: a test holds what is made here equal to what it builds. What the manifests do not use
of it is refused, never guessed.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from pgbearer.errors import PgbearerError

__all__ = ["Object", "assemble", "folder"]

Object = dict[str, Any]

_KNOWN: Final = frozenset(
    {"apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "patches", "configurations"}
)
_CLUSTER_WIDE: Final = frozenset({"Namespace"})


def folder() -> Path:
    """The manifests: beside this file in an installation, at the top of a checkout.

    Raises:
        PgbearerError: this installation has none.
    """
    here = Path(__file__).resolve()
    for place in (here.parent / "manifests", here.parents[3] / "cnpg"):
        if (place / "base" / "kustomization.yaml").is_file():
            return place
    raise PgbearerError("this installation has no manifests", hint="Install pgbearer again, from a wheel.")


def assemble(components: Sequence[str], namespace: str) -> list[Object]:
    """The base with `components` (names below ``components/``), in a namespace.

    Raises:
        PgbearerError: the manifests use something of kustomize that is not known here.
    """
    objects = _build(folder() / "base")
    for name in components:
        _add(folder() / "components" / name, objects)
    return _in_namespace(objects, namespace)


def _build(place: Path) -> list[Object]:
    objects: list[Object] = []
    _add(place, objects)
    return objects


def _add(place: Path, objects: list[Object]) -> None:
    """Put what the folder `place` has into `objects`: its resources and components, what it generates, its patches."""
    file = place / "kustomization.yaml"
    said: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if unknown := sorted(said.keys() - _KNOWN):
        raise PgbearerError(f"what {', '.join(unknown)} mean is not known here", where=str(file))
    for name in said.get("resources", ()):
        objects += _build(place / name) if (place / name).is_dir() else _documents(place / name)
    for name in said.get("components", ()):
        _add(place / name, objects)
    for wanted in said.get("configMapGenerator", ()):
        _generate(place, wanted, objects)
    for patch in said.get("patches", ()):
        for document in _documents(place / patch["path"]):
            _merge(_target(document, objects, file), document)
    if "namespace" in said:
        _in_namespace(objects, said["namespace"])


def _documents(file: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]


def _generate(place: Path, wanted: Mapping[str, Any], objects: list[Object]) -> None:
    data = {name: (place / name).read_text(encoding="utf-8") for name in wanted["files"]}
    if wanted.get("behavior") == "merge":
        found = next(each for each in objects if each["kind"] == "ConfigMap" and _name(each) == wanted["name"])
        found["data"].update(data)
        return
    metadata = {"name": wanted["name"], "labels": dict(wanted["options"]["labels"])}
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _target(patch: Object, objects: Sequence[Object], file: Path) -> Object:
    """Only of custom kinds: in those of Kubernetes' own, some lists are merged by a key."""
    for each in objects:
        if "." in each["apiVersion"].partition("/")[0] and (each["kind"], _name(each)) == (patch["kind"], _name(patch)):
            return each
    raise PgbearerError(f"nothing to patch with {patch['kind']}/{_name(patch)}", where=str(file))


def _merge(into: Object, patch: Mapping[str, Any]) -> None:
    """RFC 7386: mappings are merged, everything else is replaced."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def _in_namespace(objects: list[Object], namespace: str) -> list[Object]:
    for each in objects:
        each["metadata"]["name" if each["kind"] in _CLUSTER_WIDE else "namespace"] = namespace
    return objects


def _name(of: Mapping[str, Any]) -> str:
    name: str = of["metadata"]["name"]
    return name
