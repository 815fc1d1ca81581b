"""What a spec changes in each of the manifests that come with pgbearer, by kind."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from pgbearer.cnpg.shipped import Object
from pgbearer.cnpg.spec import Images, Spec

__all__ = ["changed"]

_GROUP: Final = "pgbearer_people"
_CLUSTER: Final = "pg"
_NAMESPACE: Final = "databases"
_OF_CLUSTER: Final = ("cnpg.io/cluster", "pgbearer.example/may-reach")
_REPLICATION: Final = "host replication all all reject"
_LAST: Final = "host all all all reject"


def changed(manifest: Object, spec: Spec) -> Object:
    """`manifest` as the spec wants it."""
    made: Object = _renamed(manifest, spec)
    if change := _CHANGES.get(made["kind"]):
        change(made, spec)
    return made


def _renamed(value: Any, spec: Spec, key: str = "") -> Any:
    """With the names of the Cluster, its namespace and the images wherever they stand, in text too."""
    match value:
        case dict():
            return {name: _renamed(inner, spec, name) for name, inner in value.items()}
        case list():
            return [_renamed(inner, spec) for inner in value]
        case str():
            if key in _OF_CLUSTER:
                return spec.name
            for old, new in _texts(spec):
                value = value.replace(old, new)
            return value
    return value


def _texts(spec: Spec) -> tuple[tuple[str, str], ...]:
    shipped = Images()
    return (
        (f"pgbearer.{_NAMESPACE}.svc", f"pgbearer.{spec.namespace}.svc"),
        (f"{_CLUSTER}.{_NAMESPACE}.svc", f"{spec.name}.{spec.namespace}.svc"),
        (shipped.module, spec.images.module),
        (shipped.service, spec.images.service),
        (shipped.postgres, spec.images.postgres),
    )


def _cluster(made: Object, spec: Spec) -> None:
    made["metadata"]["name"] = spec.name
    body = made["spec"]
    body["instances"] = spec.instances
    body["storage"]["size"] = spec.storage
    body["bootstrap"]["initdb"]["database"] = spec.database
    issuer = f'issuer="{spec.issuer}" scope="openid {spec.audience}" delegate_ident_mapping=1 validator=pgbearer'
    body["postgresql"]["pg_hba"] = [
        *([f"hostssl all {spec.break_glass} all cert"] if spec.break_glass else []),
        *spec.insecure_lines,
        *spec.lines,
        f"hostssl all +{_GROUP} all oauth {issuer}",
        _REPLICATION,
        _LAST,
    ]
    kept = [role for role in body["managed"]["roles"] if role["name"] == _GROUP]
    roles = [
        {"name": role.name, "login": True, "disablePassword": True, "inRoles": [_GROUP, *role.inherits]}
        for role in spec.roles
    ]
    glass = {"name": spec.break_glass, "login": True, "superuser": True, "disablePassword": True, "connectionLimit": 2}
    body["managed"]["roles"] = [*kept, *roles, *([glass] if spec.break_glass else [])]


def _policy(made: Object, spec: Spec) -> None:
    """pgbearer.yaml, in the ConfigMap."""
    settings: dict[str, Any] = yaml.safe_load(made["data"]["pgbearer.yaml"])
    (server,) = settings["servers"].values()
    settings["servers"] = {spec.name: server}
    issuer = settings["issuers"]["corp"]
    issuer |= {"issuer": spec.issuer, "audience": spec.audience, "clients": list(spec.clients)}
    settings["rules"] = [
        {
            "name": role.name,
            "any_role": list(role.given_by) or [role.name],
            "databases": [spec.database],
            "roles": [role.name],
        }
        for role in spec.roles
    ]
    made["data"]["pgbearer.yaml"] = yaml.safe_dump(settings, sort_keys=False, allow_unicode=False, width=1000)


def _network(made: Object, spec: Spec) -> None:
    name, dash, rest = made["metadata"]["name"].partition("-")
    if name == _CLUSTER:
        made["metadata"]["name"] = f"{spec.name}{dash}{rest}"


def _autoscaler(made: Object, spec: Spec) -> None:
    made["spec"]["minReplicas"] = spec.replicas


_CHANGES: Final[Mapping[str, Callable[[Object, Spec], None]]] = {
    "Cluster": _cluster,
    "ConfigMap": _policy,
    "NetworkPolicy": _network,
    "HorizontalPodAutoscaler": _autoscaler,
}
