"""What a spec changes in each of the manifests that come with pgbearer, by kind."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.access import accesses
from pgbearer.cnpg.called import CLUSTER, SERVICE, new_names, refers, service_of
from pgbearer.cnpg.change_policy import authorities, changed_policy
from pgbearer.cnpg.issuers import ports
from pgbearer.cnpg.shipped import CLUSTER_WIDE, Object
from pgbearer.cnpg.spec import Images, Spec

__all__ = ["changed"]

_NAMESPACE: Final = "databases"
_OF_CLUSTER: Final = ("pgbearer.example/reached-as", "postgresql_cluster")
_OF_NAMESPACE: Final = ("kubernetes.io/metadata.name", "namespace")
_CONFIG_MAP: Final = '{"configMap": {"name": "%s"}}'
"""In the text of the patch that has the sidecar."""
_COMMON_NAME: Final = 64
_REPLICATION: Final = "host replication all all reject"
_LAST: Final = "host all all all reject"


def changed(manifests: Sequence[Object], spec: Spec) -> list[Object]:
    """The shipped `manifests`, all of them, as the spec wants them; they themselves are left alone."""
    names = new_names(manifests, spec.name)
    return [_changed(each, spec, names) for each in copy.deepcopy(list(manifests))]


def _changed(manifest: Object, spec: Spec, names: Mapping[str, str]) -> Object:
    made: Object = _renamed(manifest, spec, names)
    metadata = made["metadata"]
    if made["kind"] == "Namespace":
        metadata["name"] = spec.namespace
    elif made["kind"] in CLUSTER_WIDE:  # where those of another Cluster are too
        metadata["name"] = f"{spec.namespace}.{metadata['name']}"
    else:
        metadata["namespace"] = spec.namespace
    if change := _CHANGES.get(made["kind"]):
        change(made, spec)
    return made


def _renamed(value: Any, spec: Spec, names: Mapping[str, str], key: str = "", within: str = "") -> Any:
    """With the names of the Cluster, its namespace, its objects and the images wherever they stand, in text too."""
    match value:
        case dict():
            inside = key or within  # what is in a list is within what the list is
            renamed = {name: _renamed(inner, spec, names, name, inside) for name, inner in value.items()}
            return {_renamed(name, spec, names): inner for name, inner in renamed.items()}
        case list():
            return [_renamed(inner, spec, names, "", key) for inner in value]
        case str():
            if value in names and refers(key, within):
                return names[value]
            if key in _OF_CLUSTER:
                return spec.name
            if key in _OF_NAMESPACE and value == _NAMESPACE:
                return spec.namespace
            for old, new in _texts(spec):
                value = value.replace(old, new)
            return value
    return value


def _texts(spec: Spec) -> tuple[tuple[str, str], ...]:
    shipped = Images()
    return (
        (f"{SERVICE}.{_NAMESPACE}.svc", f"{service_of(spec.name)}.{spec.namespace}.svc"),
        (_CONFIG_MAP % SERVICE, _CONFIG_MAP % service_of(spec.name)),
        (f"{CLUSTER}.{_NAMESPACE}.svc", f"{spec.name}.{spec.namespace}.svc"),
        (f"{CLUSTER}.{_NAMESPACE}.pgbearer.example", f"{spec.name}.{spec.namespace}.pgbearer.example"),
        (f'namespace="{_NAMESPACE}"', f'namespace="{spec.namespace}"'),
        (f'"{_NAMESPACE}/({SERVICE}|{CLUSTER})"', f'"{spec.namespace}/({service_of(spec.name)}|{spec.name})"'),
        (f"of {CLUSTER} in {_NAMESPACE};", f"of {spec.name} in {spec.namespace};"),
        (shipped.module, spec.images.module),
        (shipped.service, spec.images.service),
        (shipped.postgres, spec.images.postgres),
    )


def _cluster(made: Object, spec: Spec) -> None:
    body = made["spec"]
    body["instances"] = spec.instances
    body["storage"]["size"] = spec.storage
    if spec.storage_class:
        body["storage"]["storageClass"] = spec.storage_class
    memory = {"memory": spec.resources.memory}
    body["resources"] = {"requests": {"cpu": spec.resources.cpu, **memory}, "limits": memory}
    body["bootstrap"]["initdb"]["database"] = spec.database
    entries = accesses(spec)
    postgresql = body["postgresql"]
    postgresql["parameters"]["pgbearer.forbid_passwords"] = ",".join(f"+{each.group}" for each in entries)
    postgresql["pg_hba"] = [
        *([f"hostssl all {spec.break_glass} all cert"] if spec.break_glass else []),
        *spec.insecure_lines,
        *spec.lines,
        *(each.line for each in entries),
        _REPLICATION,
        _LAST,
    ]
    body["managed"]["roles"] = _roles(spec)
    _authorities_beside(made["metadata"].get("annotations", {}), spec)


def _roles(spec: Spec) -> list[Object]:
    """Of each access its group and who is in it; break-glass after the first."""
    made: list[Object] = []
    for each in accesses(spec):
        made.append({"name": each.group, "login": False, "disablePassword": True, "comment": each.comment})
        made += [
            {"name": role.name, "login": True, "disablePassword": True, "inRoles": [each.group, *role.inherits]}
            for role in each.roles
        ]
        if spec.break_glass and each.group == "pgbearer_people":
            glass = {"name": spec.break_glass, "login": True, "superuser": True}
            made.append({**glass, "disablePassword": True, "connectionLimit": 2})
    return made


def _authorities_beside(annotations: dict[str, str], spec: Spec) -> None:
    """For the sidecar, which the annotation has."""
    sources = _sources(spec)
    if not sources or operator.POD_PATCH not in annotations:
        return
    operations = json.loads(annotations[operator.POD_PATCH])
    (volume,) = (each["value"] for each in operations if each["value"]["name"] == "pgbearer-config")
    volume["projected"]["sources"] += sources
    annotations[operator.POD_PATCH] = json.dumps(operations, indent=2) + "\n"


def _deployment(made: Object, spec: Spec) -> None:
    (volume,) = (each for each in made["spec"]["template"]["spec"]["volumes"] if each["name"] == "config")
    volume["projected"]["sources"] += _sources(spec)


def _sources(spec: Spec) -> list[Object]:
    return [
        {"configMap": {"name": authority.config_map, "items": [{"key": authority.key, "path": file}]}}
        for authority, file in authorities(spec)
    ]


def _policy(made: Object, spec: Spec) -> None:
    made["data"]["pgbearer.yaml"] = changed_policy(made["data"]["pgbearer.yaml"], spec)


def _network(made: Object, spec: Spec) -> None:
    """Of those who ask the issuers: the service's pods, or the instances' with the service in them."""
    asking = spec.name if spec.mode == "sidecar" else service_of(spec.name)
    if made["metadata"]["name"] != asking:
        return
    (outside,) = (each for each in made["spec"]["egress"] if any("ipBlock" in to for to in each["to"]))
    outside["ports"] += [{"port": port} for port in ports(spec)]


def _autoscaler(made: Object, spec: Spec) -> None:
    made["spec"]["minReplicas"] = spec.replicas


def _peers(made: Object, spec: Spec) -> None:
    """Of Istio: the one that is for the whole namespace is called so."""
    if made["metadata"]["name"] == _NAMESPACE:
        made["metadata"]["name"] = spec.namespace


def _istio(made: Object, spec: Spec) -> None:
    if made["apiVersion"].startswith("security.istio.io/"):
        rule = made["spec"]["rules"][0]
        clients = _clients(spec) if made["metadata"]["name"] == spec.name else [(spec.namespace, spec.name)]
        rule["from"] = [{"source": {"principals": [f"cluster.local/ns/{space}/sa/{name}" for space, name in clients]}}]


def _linkerd(made: Object, spec: Spec) -> None:
    clients = _clients(spec) if made["metadata"]["name"] == f"{spec.name}-clients" else [(spec.namespace, spec.name)]
    suffix = "serviceaccount.identity.linkerd.cluster.local"
    made["spec"]["identities"] = [f"{name}.{space}.{suffix}" for space, name in clients]


def _clients(spec: Spec) -> Sequence[tuple[str, str]]:
    """Namespaces and names of who reaches PostgreSQL: the instances themselves first."""
    accounts = [
        *(role.service_account for role in (spec.workloads.roles if spec.workloads else ())),
        *spec.mesh_clients,
    ]
    pairs = (each.partition("/")[::2] for each in dict.fromkeys(accounts))
    return [(spec.namespace, spec.name), *pairs]


def _alerts(made: Object, spec: Spec) -> None:
    for group in made["spec"]["groups"]:
        for rule in group["rules"]:
            page, _, alert = rule["annotations"]["runbook_url"].partition("#")
            rule["annotations"]["runbook_url"] = f"{spec.alerts_page or page}#{alert}"


def _certificate(made: Object, spec: Spec) -> None:
    """Its name for people may have 64 characters (RFC 5280, ub-common-name), which two long names exceed."""
    if len(made["spec"]["commonName"]) > _COMMON_NAME:
        del made["spec"]["commonName"]


def _external(made: Object, spec: Spec) -> None:
    made["spec"]["secretStoreRef"]["name"] = spec.external.store
    for each in made["spec"]["dataFrom"]:
        extracted = each["extract"]
        path = spec.external.path or f"{spec.namespace}/{service_of(spec.name)}"
        extracted["key"] = f"{path}/{extracted['key'].rpartition('/')[2]}"


def _registration(made: Object, spec: Spec) -> None:
    if "federatesWith" in made["spec"]:
        assert spec.spire is not None and spec.spire.federated is not None  # noqa: PT018, S101  its component is there
        made["spec"]["federatesWith"] = [spec.spire.federated.trust_domain]


def _federation(made: Object, spec: Spec) -> None:
    """Two Clusters that federate with the same trust domain say the same of it."""
    assert spec.spire is not None and spec.spire.federated is not None  # noqa: PT018, S101  its component is there
    federated = spec.spire.federated
    made["metadata"]["name"] = federated.trust_domain
    made["spec"]["trustDomain"] = federated.trust_domain
    made["spec"]["bundleEndpointURL"] = federated.bundle_endpoint
    made["spec"]["bundleEndpointProfile"]["endpointSPIFFEID"] = f"spiffe://{federated.trust_domain}/spire/server"


_CHANGES: Final[Mapping[str, Callable[[Object, Spec], None]]] = {
    "Cluster": _cluster,
    "ConfigMap": _policy,
    "Deployment": _deployment,
    "NetworkPolicy": _network,
    "HorizontalPodAutoscaler": _autoscaler,
    "PeerAuthentication": _peers,
    "AuthorizationPolicy": _istio,
    "MeshTLSAuthentication": _linkerd,
    "PrometheusRule": _alerts,
    "Certificate": _certificate,
    "ExternalSecret": _external,
    "ClusterSPIFFEID": _registration,
    "ClusterFederatedTrustDomain": _federation,
}
