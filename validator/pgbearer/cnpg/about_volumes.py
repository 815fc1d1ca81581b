"""Checks on what the patch of the pods hands out: the node, the Cluster's data and Secrets, the instance's token."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.patch import ANNOTATION, operations, small
from pgbearer.cnpg.pods import at, secret_in
from pgbearer.cnpg.stream import Manifest, listing, mapping, text

__all__ = ["CHECKS", "SECRETS", "secrets_of"]

SECRETS: Final = ("app", "ca", "pooler", "replication", "server", "superuser")
"""What the operator calls Secrets of a Cluster, below its name (api/v1/cluster_types.go)."""
_CERTIFICATES: Final = ("clientCASecret", "replicationTLSSecret", "serverCASecret", "serverTLSSecret")
_OF_THE_INSTANCE: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where containers have it (DefaultAPITokenMountPath)."""
_FOR_THE_API_SERVER: Final = ("", "https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local")
"""Audiences of a token that the API server takes; with none, it is the API server's."""


def node_is_not_handed_out(manifest: Manifest) -> Iterator[Found]:
    """Below a node's folders are the volumes of every pod there, those with pg_hba.conf among them."""
    for index, name, volume in _volumes(manifest):
        if "hostpath" in volume:
            message = f"operation {index} mounts {text(small(volume['hostpath']).get('path'))[:100]} of the node"
            yield Found("pod_volume", ANNOTATION, message, f"take the volume {name} out, or make it an emptyDir")


def data_are_postgresqls_alone(manifest: Manifest) -> Iterator[Found]:
    """The operator calls the volumes of an instance as the Cluster, with a number."""
    cluster = text(manifest.metadata.get("name"))
    for index, name, volume in _volumes(manifest):
        claim = text(small(volume.get("persistentvolumeclaim")).get("claimname"))
        if cluster and claim.startswith(f"{cluster}-") and claim[len(cluster) + 1 :][:1].isdigit():
            message = f"operation {index} mounts {claim[:100]} once more, where an instance has its data"
            yield Found("pod_volume", ANNOTATION, message, f"give {name} a volume of its own")


def secrets_are_the_operators(manifest: Manifest) -> Iterator[Found]:
    """With the key of its authorities, or the certificate of streaming_replica, whoever has it gets in."""
    taken = secrets_of(manifest)
    for index, where, secret in _mounted(manifest):
        if secret in taken:
            message = f"operation {index} hands out the Secret {secret[:100]} of the Cluster, in {where}"
            yield Found("pod_volume", ANNOTATION, message, "take it out; a program has a Secret of its own")


def tokens_are_the_instances(manifest: Manifest) -> Iterator[Found]:
    """The instance's service account reads the Cluster's Secrets (pkg/specs/roles.go of the operator)."""
    for index, name, volume in _volumes(manifest):
        for source in _sources(volume):
            token = small(source.get("serviceaccounttoken"))
            if token and text(token.get("audience")) in _FOR_THE_API_SERVER:
                message = f"operation {index} hands out the instance's token for the API server, in {name}"
                hint = "name the audience that the token is for"
                yield Found("pod_volume", ANNOTATION, message, hint)


def tokens_are_not_mounted_unasked(manifest: Manifest) -> Iterator[Found]:
    """The API server mounts it into every container, but where something is at just that path already.

    So mountServiceAccountToken does it (plugin/pkg/admission/serviceaccount/admission.go of Kubernetes), unless the pod
    wants none: the operator's does, whose own program needs it.
    """
    for operation in operations(manifest):
        for name, container in operation.containers():
            places = {text(small(mount).get("mountpath")) for mount in listing(container.get("volumemounts"))}
            if _OF_THE_INSTANCE not in places:
                message = f"operation {operation.index} has {name} get the instance's token for the API server unasked"
                hint = f"mount an emptyDir at {_OF_THE_INSTANCE}, as cnpg/components/sidecar does"
                yield Found("pod_token", ANNOTATION, message, hint)


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    node_is_not_handed_out,
    data_are_postgresqls_alone,
    secrets_are_the_operators,
    tokens_are_the_instances,
    tokens_are_not_mounted_unasked,
)


def _volumes(manifest: Manifest) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Those that the patch puts into the pods: the number of the operation, their name, and themselves."""
    for operation in operations(manifest):
        for volume in operation.puts("volumes"):
            yield operation.index, text(volume.get("name"))[:63], volume


def _sources(volume: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from map(small, listing(small(volume.get("projected")).get("sources")))


def _mounted(manifest: Manifest) -> Iterator[tuple[int, str, str]]:
    """Secrets that the patch mounts, or has in an environment: the operation, in what, and their name."""
    for index, name, volume in _volumes(manifest):
        yield index, name, text(small(volume.get("secret")).get("secretname"))
        for source in _sources(volume):
            yield index, name, text(small(source.get("secret")).get("name"))
    for operation in operations(manifest):
        for name, container in operation.containers():
            for each in map(small, listing(container.get("envfrom"))):
                yield operation.index, name, text(small(each.get("secretref")).get("name"))
            for each in map(small, listing(container.get("env"))):
                reference = small(small(each.get("valuefrom")).get("secretkeyref"))
                yield operation.index, name, text(reference.get("name"))


def secrets_of(manifest: Manifest) -> set[str]:
    """Names of Secrets by which people, or the operator, log in to a Cluster; none of another object."""
    if not is_cluster(manifest):
        return set()
    spec = at(manifest, ("spec",))
    certificates = mapping(spec.get("certificates"))
    roles = map(mapping, listing(mapping(spec.get("managed")).get("roles")))
    references = [spec.get("superuserSecret"), *(role.get("passwordSecret") for role in roles)]
    references += [mapping(how).get("secret") for how in mapping(spec.get("bootstrap")).values()]
    mounted = listing(mapping(spec.get("projectedVolumeTemplate")).get("sources"))  # the module's key is in one
    named = [mapping(reference).get("name") for reference in references]
    return {
        *(f"{text(manifest.metadata.get('name'))}-{suffix}" for suffix in SECRETS),
        *(text(name) for name in (*named, *(certificates.get(key) for key in _CERTIFICATES))),
        *(secret_in(mapping(source).get("secret")) for source in mounted),
    } - {""}
