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

__all__ = ["CLUSTER_WIDE", "Object", "assemble", "folder"]

Object = dict[str, Any]

_KNOWN: Final = frozenset(
    {"apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "patches", "configurations"}
)
CLUSTER_WIDE: Final = frozenset({"Namespace", "ClusterRoleBinding", "ClusterSPIFFEID", "ClusterFederatedTrustDomain"})
"""Kinds without a namespace, among those that come with pgbearer."""


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


def assemble(components: Sequence[str]) -> list[Object]:
    """The base with `components` (names below ``components/``); what says no namespace is in none.

    Raises:
        PgbearerError: the manifests use something of kustomize that is not known here.
    """
    objects = _build(folder() / "base")
    for name in components:
        _add(folder() / "components" / name, objects)
    return objects


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
        content = yaml.safe_load((place / patch["path"]).read_text(encoding="utf-8"))
        if isinstance(content, list):
            _operate(_target(patch["target"], objects, file), content)
        else:
            _merge(_of_custom_kind(_target(_named(content), objects, file), file), content)
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


def _target(wanted: Mapping[str, str], objects: Sequence[Object], file: Path) -> Object:
    for each in objects:
        if (each["kind"], _name(each)) == (wanted["kind"], wanted["name"]):
            return each
    raise PgbearerError(f"nothing to patch with {wanted['kind']}/{wanted['name']}", where=str(file))


def _named(patch: Object) -> Mapping[str, str]:
    return {"kind": patch["kind"], "name": _name(patch)}


def _of_custom_kind(found: Object, file: Path) -> Object:
    """In kinds of Kubernetes' own, some lists are merged by a key."""
    if "." not in found["apiVersion"].partition("/")[0]:
        raise PgbearerError(f"how {found['kind']} is merged is not known here", where=str(file))
    return found


def _operate(into: Any, operations: Sequence[Mapping[str, Any]]) -> None:
    """RFC 6902, of which the manifests use ``add`` and ``replace``."""
    for operation in operations:
        if operation["op"] not in ("add", "replace"):
            raise PgbearerError(f"a patch that says {operation['op']} is not known here")
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
        here = into
        for part in way:
            here = here[int(part)] if isinstance(here, list) else here[part]
        value = copy.deepcopy(operation["value"])
        if isinstance(here, dict):
            here[last] = value
        elif operation["op"] == "add":
            here.insert(len(here) if last == "-" else int(last), value)
        else:
            here[int(last)] = value


def _merge(into: Object, patch: Mapping[str, Any]) -> None:
    """RFC 7386: mappings are merged, everything else is replaced."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def _in_namespace(objects: Sequence[Object], namespace: str) -> None:
    for each in objects:
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = namespace
        elif each["kind"] not in CLUSTER_WIDE:
            each["metadata"]["namespace"] = namespace


def _name(of: Mapping[str, Any]) -> str:
    name: str = of["metadata"]["name"]
    return name
