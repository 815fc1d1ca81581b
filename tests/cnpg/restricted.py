"""What PodSecurity's restricted profile has against a pod, and what we ask beyond: a root that is read-only.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["faults"]

_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SHARED: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
Json = Mapping[str, Any]


def faults(spec: Json) -> Iterator[str]:
    """Every reason; none if the pod is as it should be."""
    pod = spec.get("securityContext", {})
    yield from (f"{name} is on" for name in _SHARED if spec.get(name))
    for volume in spec.get("volumes", ()):
        if not set(volume) & _VOLUMES:
            yield f"volume {volume['name']} is of a kind that is not allowed"
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        own: Json = container.get("securityContext", {})
        name = container["name"]
        yield from (f"{name}: {fault}" for fault in _of_container(own, {**pod, **own}))
        if any("hostPort" in port for port in container.get("ports", ())):
            yield f"{name}: a port of the node"
        if "requests" not in container.get("resources", {}):
            yield f"{name}: nothing is said of what it needs"


def _of_container(own: Json, both: Json) -> Iterator[str]:
    if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
        yield "may get more privileges"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or _added(own):
        yield "has capabilities"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "may be root"
    if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "may make any system call"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"


def _added(own: Json) -> Sequence[str]:
    added: Sequence[str] = own.get("capabilities", {}).get("add", ())
    return added
