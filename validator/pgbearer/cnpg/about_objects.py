"""Checks on objects as they are written: names, what the operator refuses, passwords, the sidecar, volumes."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import TEMPLATES, at, containers, decoded_patch, in_patch, is_ours
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS", "pod_patch_is_one"]

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # RFC 1123, as Kubernetes has it
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035, as the operator has it (cluster_webhook.go)
_PARAMETER: Final = re.compile(
    r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*"
)  # ID of guc-file.l, and its parts
_INCLUDES: Final = frozenset({"include", "include_dir", "include_if_exists"})
_LOOKED_FOR: Final = operator.BLOCKED | {"oauth_validator_libraries"}
_OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {  # RFC 6902 section 4: the members that each must have
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "from"),
    "copy": ("path", "from"),
    "test": ("path", "value"),
}


def names_are_taken(manifest: Manifest) -> Iterator[Found]:
    """A Cluster's name becomes that of pods, Services and Secrets, with a suffix."""
    if not is_cluster(manifest):
        return
    for key, pattern, most in (("name", _SERVICE, operator.MAX_CLUSTER_NAME), ("namespace", _LABEL, 63)):
        value = manifest.metadata.get(key)
        if value is None and (key == "namespace" or "generateName" in manifest.metadata):
            continue
        if not isinstance(value, str) or not pattern.fullmatch(value) or len(value) > most:
            shown = repr(value)[:100]
            first = "letter" if pattern is _SERVICE else "letter or digit"
            hint = f"at most {most} of a-z, 0-9 and -, beginning with a {first}, ending with a letter or digit"
            yield Found("name_invalid", ("metadata", key), f"{shown} is no name of a Cluster's {key}", hint)


def parameters_are_the_clusters(manifest: Manifest) -> Iterator[Found]:
    """The operator's webhook refuses the whole Cluster for one of these."""
    if is_cluster(manifest):
        path: KeyPath = ("spec", "postgresql", "parameters")
        for name in at(manifest, path):
            if name in operator.BLOCKED:
                hint = "take it out"
                if name == "shared_preload_libraries":
                    hint = "write it as spec.postgresql.shared_preload_libraries"
                yield Found("parameter_blocked", (*path, name), f"the operator sets {name} itself", hint)


def parameters_are_seen(manifest: Manifest) -> Iterator[Found]:
    """PostgreSQL takes capitals as small letters (guc_name_compare), ``include`` as a file; the operator neither."""
    if is_cluster(manifest):
        path: KeyPath = ("spec", "postgresql", "parameters")
        for name in at(manifest, path):
            if not _PARAMETER.fullmatch(name):
                yield Found("parameter_hidden", (*path, name), f"{name[:100]!r} is no name of a parameter", "mend it")
            elif name.lower() in _INCLUDES:
                message = f"{name} reads a file of the server, which nobody sees here"
                yield Found("parameter_hidden", (*path, name), message, "write the parameters here")
            elif name != name.lower() and name.lower() in _LOOKED_FOR:
                message = f"to PostgreSQL this is {name.lower()}, which the operator and we look for in small letters"
                yield Found("parameter_hidden", (*path, name), message, "take it out, or write it in small letters")


def module_is_brought(manifest: Manifest) -> Iterator[Found]:
    """By an extension image, or in an image of one's own."""
    if not is_cluster(manifest):
        return
    spec = mapping(manifest.value.get("spec"))
    extensions = [mapping(each) for each in listing(mapping(spec.get("postgresql")).get("extensions"))]
    if "pgbearer" in text(spec.get("imageName")):
        return
    if not any("pgbearer" in text(each.get("name")) for each in extensions):
        message = "no extension image is named pgbearer"
        hint = "add it, or see to it that imageName has the module in it"
        yield Found("extension_missing", ("spec", "postgresql", "extensions"), message, hint)


def module_is_found_first(manifest: Manifest) -> Iterator[Found]:
    """dynamic_library_path has extensions' folders in their order, and the first pgbearer.so is taken."""
    path: KeyPath = ("spec", "postgresql", "extensions")
    if not is_cluster(manifest):
        return
    names = [text(mapping(each).get("name")) for each in listing(at(manifest, path[:-1]).get("extensions"))]
    ours = next((index for index, name in enumerate(names) if "pgbearer" in name), 0)
    for index, name in enumerate(names[:ours]):
        message = f"{name[:63]} is searched before pgbearer, and may bring a pgbearer.so of its own"
        yield Found("extension_before", (*path, index), message, "put pgbearer first")


def superuser_has_no_password(manifest: Manifest) -> Iterator[Found]:
    """The operator makes a Secret with it, which whoever reads Secrets logs in by."""
    if is_cluster(manifest) and mapping(manifest.value.get("spec")).get("enableSuperuserAccess") is True:
        message = "the operator gives postgres a password, in a Secret"
        yield Found(
            "superuser_access", ("spec", "enableSuperuserAccess"), message, "take it out: kubectl cnpg psql needs none"
        )


def roles_have_no_passwords(manifest: Manifest) -> Iterator[Found]:
    """A role whose password the operator keeps can come in by any line that takes passwords."""
    for path, role in _roles(manifest):
        if role.get("passwordSecret") is not None and role.get("login") is not False:
            name = text(role.get("name"))[:63] or "the role"
            message = f"{name} has a password, which the operator keeps at what the Secret says"
            yield Found("role_password", (*path, "passwordSecret"), message, "write disablePassword: true instead")


def pod_patch_is_one(manifest: Manifest) -> Iterator[Found]:
    """What the operator cannot apply keeps it from making pods."""
    annotations = mapping(manifest.metadata.get("annotations"))
    if not is_cluster(manifest) or operator.POD_PATCH not in annotations:
        return
    path: KeyPath = ("metadata", "annotations", operator.POD_PATCH)
    for said in _wrong_patch(annotations[operator.POD_PATCH], decoded_patch(manifest)):
        yield Found("pod_patch", path, said, "write a JSON Patch (RFC 6902) as text")


def settings_are_projected(manifest: Manifest) -> Iterator[Found]:
    """A kubelet keeps projected volumes in memory; a plain ConfigMap lies on disk, in a folder open to all."""
    path = TEMPLATES.get(manifest.kind)
    if path is not None:
        yield from _plain_volumes(at(manifest, path), path)
    elif is_cluster(manifest):
        annotation: KeyPath = ("metadata", "annotations", operator.POD_PATCH)
        patch = decoded_patch(manifest)
        pod = {
            "containers": list(in_patch(patch, "image", "volumeMounts")),
            "volumes": list(in_patch(patch, "configMap")),
        }
        yield from (Found(each.code, annotation, each.message, each.hint) for each in _plain_volumes(pod, ()))


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    names_are_taken,
    parameters_are_the_clusters,
    parameters_are_seen,
    module_is_brought,
    module_is_found_first,
    superuser_has_no_password,
    roles_have_no_passwords,
    pod_patch_is_one,
    settings_are_projected,
)


def _roles(manifest: Manifest) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    if manifest.group == operator.GROUP and manifest.kind == "DatabaseRole":
        yield ("spec",), mapping(manifest.value.get("spec"))
    elif is_cluster(manifest):
        path: KeyPath = ("spec", "managed", "roles")
        for index, role in enumerate(listing(at(manifest, path[:-1]).get("roles"))):
            if mapping(role).get("ensure") != "absent":
                yield (*path, index), mapping(role)


def _wrong_patch(value: object, patch: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield "must be text"
        return
    if not isinstance(patch, list):
        yield "is no JSON, or has a member twice" if patch is None else "is no list of operations"
        return
    for index, operation in enumerate(patch):
        members = mapping(operation)
        needed = _OPERATIONS.get(text(members.get("op")))
        if needed is None:
            yield f"operation {index} has no op of RFC 6902"
        elif lacking := [name for name in needed if name not in members]:
            yield f"operation {index} has no {' and no '.join(lacking)}"
        elif members["path"] and not text(members["path"]).startswith("/"):
            yield f"operation {index} has a path that does not begin with /"


def _plain_volumes(pod: Mapping[str, Any], path: KeyPath) -> Iterator[Found]:
    mounted = {
        text(mapping(mount).get("name"))
        for _, container in containers(pod)
        if is_ours(container)
        for mount in listing(container.get("volumeMounts"))
    }
    for index, volume in enumerate(map(mapping, listing(pod.get("volumes")))):
        if "configMap" in volume and text(volume.get("name")) in mounted:
            message = f"the volume {text(volume.get('name'))[:63]} is a plain ConfigMap, whose folder is open to all"
            hint = "write projected: {sources: [{configMap: ...}]}"
            yield Found("volume_not_projected", (*path, "volumes", index), message, hint)
