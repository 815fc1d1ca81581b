"""A check on what the patch of the pods does besides adding containers and volumes, which other checks look into.

Only that is good as such: whatever else a pod has is the operator's to say, and there is always one more field by which
somebody is PostgreSQL. So nothing is looked for here; what is not known is told of.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.patch import ANNOTATION, CONTAINERS, Operation, operations
from pgbearer.cnpg.stream import Manifest

__all__ = ["CHECKS"]

_ADDED: Final = frozenset({"containers", "initcontainers", "volumes"})
_NAMESPACES: Final = frozenset({"shareprocessnamespace", "hostpid", "hostipc"})
_LABELS: Final = ("cnpg.io/", "pgbearer.example/")
"""What labels begin with by which the operator, its Services and our NetworkPolicies know pods."""
_PLACING: Final = frozenset(
    {
        *("affinity", "nodename", "nodeselector", "preemptionpolicy", "priority", "priorityclassname", "schedulername"),
        *("terminationgraceperiodseconds", "tolerations", "topologyspreadconstraints"),
    }
)
"""Fields of a pod's spec that say where it runs, and how long it may take to end."""
_TAKE_OUT: Final = (
    "take it out; what is yours is added whole: /spec/containers/-, /spec/initContainers/-, /spec/volumes/-"
)
_OF_CLUSTER: Final = "write it in the Cluster, where it is seen: spec.affinity, spec.resources, spec.inheritedMetadata"


def patch_only_adds(manifest: Manifest) -> Iterator[Found]:
    """What reaches PostgreSQL's container, the pods' names and rights or their network lets somebody in."""
    for operation in operations(manifest):
        judged = _judged(operation)
        if judged is not None:
            code, what = judged
            hint = _OF_CLUSTER if code == "pod_patched" else _TAKE_OUT
            yield Found(code, ANNOTATION, f"operation {operation.index} changes {operation.path}: {what}", hint)


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (patch_only_adds,)


def _judged(operation: Operation) -> tuple[str, str] | None:
    """Which finding it is, and why; None if it adds at the end of one of the lists."""
    adds = operation.op == "add"
    match operation.parts:
        case ("spec", name, "-") if adds and name in _ADDED:
            return None
        case ("spec", name, _) if adds and name in _ADDED:
            return "pod_patched", "what is put before the operator's own may be taken for it; write - at the end"
        case ("spec", *parts):
            return _of_spec(parts)
        case ("metadata", "labels", label) if adds and not label.startswith(_LABELS):
            return "pod_patched", "one more label, by which a NetworkPolicy of others may know the pods"
        case ("metadata", "annotations", _):
            return "pod_patched", "meshes and others change pods by annotations, their network too"
        case ("metadata", *_):
            return "pod_replaced", "by their labels NetworkPolicies, Services and the operator know the pods"
    return "pod_replaced", "all that the pods are"


def _of_spec(parts: Sequence[str]) -> tuple[str, str]:
    """Of what is there already, at a place below the spec."""
    match parts:
        case ("containers" | "initcontainers", _, "resources", *_):
            return "pod_patched", "what a container may use"
        case (name, *_) if name in _PLACING:
            return "pod_patched", "where the pods run"
        case (name,) if name in _NAMESPACES:
            return "pod_shared", "every container may then read and change PostgreSQL's memory and files"
        case (name, *_) if name in CONTAINERS:
            return "pod_replaced", "what the operator's containers run, as whom, and what reaches them"
        case ("volumes", *_):
            return "pod_replaced", "what PostgreSQL has at its mounts"
    return "pod_replaced", "who the pods are, what they may and what reaches them"
