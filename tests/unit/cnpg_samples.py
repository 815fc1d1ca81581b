"""A Cluster that nothing is wrong with, and what it takes to make one change to it."""

import copy
import json
from collections.abc import Callable
from typing import Any

from pgbearer.cnpg import Finding, check_text

__all__ = ["GOOD", "OAUTH", "Change", "beside", "changed", "codes", "findings", "hba", "module", "patch"]
__all__ += ["NO_TOKEN", "SCRATCH", "masked", "operations", "postgresql", "puts", "spec"]

OAUTH = (
    'hostssl all +people all oauth issuer="https://issuer.example/realms/corp" scope="openid db:pg" '
    "delegate_ident_mapping=1 validator=pgbearer"
)
GOOD: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "pg", "namespace": "databases"},
    "spec": {
        "instances": 3,
        "storage": {"size": "1Gi"},
        "postgresql": {
            "extensions": [{"name": "pgbearer", "image": {"reference": "registry.corp.example/pgbearer:18"}}],
            "shared_preload_libraries": ["pgbearer"],
            "parameters": {
                "oauth_validator_libraries": "pgbearer",
                "pgbearer.endpoints": "tcp://pgbearer.databases.svc:8443?hostname=pgbearer.databases.svc",
                "pgbearer.tls_ca_file": "/projected/pgbearer/ca.crt",
                "pgbearer.tls_certificate_file": "/projected/pgbearer/tls.crt",
                "pgbearer.tls_key_file": "/projected/pgbearer/tls.key",
                "pgbearer.forbid_passwords": "+people",
            },
            "pg_hba": ["hostssl all breakglass all cert", OAUTH, "host all all all reject"],
        },
        "managed": {"roles": [{"name": "people", "login": False}, {"name": "app", "disablePassword": True}]},
    },
}
NO_TOKEN = {"name": "scratch", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
"""What is mounted in its place."""
SCRATCH = {"op": "add", "path": "/spec/volumes/-", "value": {"name": "scratch", "emptyDir": {}}}
"""The operation by which the pods have it."""
Change = Callable[[dict[str, Any]], object]
"""Of a Cluster, in place."""


def changed(change: Change) -> dict[str, Any]:
    """`GOOD` with one change."""
    made = copy.deepcopy(GOOD)
    change(made)
    return made


def hba(*lines: object) -> Change:
    """Have these lines in the place of all."""
    return lambda cluster: cluster["spec"]["postgresql"].update(pg_hba=list(lines))


def postgresql(**values: object) -> Change:
    return lambda cluster: cluster["spec"]["postgresql"].update(values)


def spec(**values: object) -> Change:
    return lambda cluster: cluster["spec"].update(values)


def patch(text: object) -> Change:
    return lambda cluster: cluster["metadata"].update(annotations={"cnpg.io/podPatch": text})


def module(image: str) -> Change:
    """The image that the module comes in."""
    return postgresql(extensions=[{"name": "pgbearer", "image": {"reference": image}}])


def beside(**values: object) -> Change:
    """A patch of the pods that adds another container than ours, and a volume for it."""
    container = masked({"name": "other", "image": "r/other:1", "securityContext": {"runAsUser": 1000}, **values})
    volume = {"name": "scratch", "emptyDir": {}}
    return operations(("/spec/containers/-", container), ("/spec/volumes/-", volume))


def masked(container: dict[str, Any]) -> dict[str, Any]:
    """With nothing where the instance's token would be mounted, whatever else it mounts."""
    key = next((key for key in container if key.casefold() == "volumemounts"), "volumeMounts")
    return {**container, key: [*(container.get(key) or []), NO_TOKEN]}


def operations(*added: tuple[str, object]) -> Change:
    """A patch of the pods that adds values at paths."""
    return patch(json.dumps([{"op": "add", "path": path, "value": value} for path, value in added]))


def puts(path: str, value: object = "x", op: str = "add") -> Change:
    return patch(json.dumps([{"op": op, "path": path, "value": value}, SCRATCH]))


def findings(*manifests: object) -> list[Finding]:
    """Of manifests in one stream."""
    return check_text("\n---\n".join(json.dumps(manifest) for manifest in manifests), "db.yaml")


def codes(*manifests: object) -> list[str]:
    """Their codes, sorted."""
    return sorted(finding.code for finding in findings(*manifests))
