"""What is put into the pods of a Cluster: what is found, and beside it the nearest that nothing is wrong with."""

import json
from typing import Any

import pytest

from pgbearer.cnpg import about_patch, about_volumes, check_text
from tests.unit.cnpg_samples import (
    NO_TOKEN,
    Change,
    beside,
    changed,
    codes,
    masked,
    module,
    operations,
    patch,
    postgresql,
    puts,
    spec,
)

OURS = "registry.corp.example/pgbearer-service:1"
SOCKETS = {"name": "scratch-data", "mountPath": "/shared", "subPath": "pgbearer"}


def volume(**source: object) -> Change:
    """A patch that puts one more volume into the pods."""
    return puts("/spec/volumes/-", {"name": "more", **source})


def projected(**source: object) -> Change:
    return volume(projected={"sources": [{"configMap": {"name": "x"}}, source]})


def projects(secret: str) -> Change:
    """Has PostgreSQL's container mount a Secret, as the module's key is."""
    return spec(projectedVolumeTemplate={"sources": [{"secret": {"name": secret}}]})


def called(name: str, change: Change) -> Change:
    return lambda cluster: (cluster["metadata"].update(name=name), change(cluster))


def also(*changes: Change) -> Change:
    return lambda cluster: [change(cluster) for change in changes]


def sidecar(image: str, **more: object) -> Change:
    """As ours is: with the sockets of PostgreSQL, and its user."""
    user = {"runAsUser": 26}
    container = masked({"name": "pgbearer", "image": image, "volumeMounts": [SOCKETS], "securityContext": user, **more})
    volume = {"name": "scratch", "emptyDir": {}}
    return operations(("/spec/initContainers/-", container), ("/spec/volumes/-", volume))


def bare(mounts: list[dict[str, str]]) -> Change:
    """Another container, with these mounts and no others."""
    container = {"name": "other", "image": "r/other:1", "securityContext": {"runAsUser": 1000}, "volumeMounts": mounts}
    return operations(("/spec/containers/-", container), ("/spec/volumes/-", {"name": "scratch", "emptyDir": {}}))


PAIRS: list[tuple[Change, list[str], Change]] = [
    # What another container has of PostgreSQL's
    (beside(volumeMounts=[{"name": "scratch-data", "mountPath": "/run"}]), ["pod_shared"],
     beside(volumeMounts=[{"name": "scratch", "mountPath": "/run"}])),
    (beside(VolumeMounts=[{"Name": "scratch-data", "mountPath": "/run"}]), ["pod_shared"], beside(VolumeMounts=[])),
    (beside(volumeMounts=[{"name": "pgdata", "mountPath": "/data"}]), ["pod_shared"], beside(volumeMounts=None)),
    (beside(securityContext={"runAsUser": 26}), ["pod_user"], beside(securityContext={"runAsUser": 27})),
    (beside(securityContext=None), ["pod_user"], beside()),
    (beside(securityContext={"runAsUser": 0}), ["pod_user"], beside(securityContext={"runAsUser": 65532})),
    (also(spec(postgresUID=1000), beside()), ["pod_user"],
     also(spec(postgresUID=1000), beside(securityContext={"runAsUser": 26}))),
    (beside(securityContext={"runAsUser": 1000, "privileged": True}), ["pod_shared"],
     beside(securityContext={"runAsUser": 1000, "privileged": False})),
    (beside(securityContext={"runAsUser": 1000, "Capabilities": {"Add": ["SYS_PTRACE"]}}), ["pod_shared"],
     beside(securityContext={"runAsUser": 1000, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}})),
    (sidecar(OURS, securityContext={"privileged": True}), ["pod_shared"], sidecar(OURS)),
    (beside(volumeMounts=[{"name": "projected", "mountPath": "/x"}]), ["pod_shared"],
     beside(volumeMounts=[{"name": "scratch", "mountPath": "/projected"}])),
    (beside(volumeMounts=[{"name": "tbs-big", "mountPath": "/x"}]), ["pod_shared"], beside(volumeMounts=[])),
    (beside(volumeDevices=[{"name": "pgdata", "devicePath": "/x"}]), ["pod_shared"], beside(volumeDevices=[])),
    (beside(volumeMountſ=[{"name": "pgdata", "mountPath": "/x"}]), ["pod_shared"], beside(volumeMounts=None)),
    (beside(ports=[{"containerPort": 5432, "hostPort": 5432}]), ["network_open"],
     beside(ports=[{"containerPort": 9000}])),
    # What is not ours although it is called so, from where the module is
    (sidecar(OURS, command=["sh", "-c", "psql"]), ["pod_shared", "pod_user"], sidecar(OURS, command=["pgbearer"])),
    (sidecar(OURS, command=["sh"], args=["-c", "x #pgbearer"]), ["pod_shared", "pod_user"],
     sidecar(OURS, command=["pgbearer"], args=["serve", "-c", "/etc/pgbearer/config/pgbearer.yaml"])),
    (sidecar("registry.corp.example/tools:1", args=["x", "#pgbearer"]), ["pod_shared", "pod_user"],
     sidecar("registry.corp.example/tools:1", command=["pgbearer"])),
    (sidecar(OURS, args=["serve", "-c", "/shared/pgbearer.yaml"]), ["pod_shared", "pod_user"],
     sidecar(OURS, args=["serve", "-c", "/etc/pgbearer/pgbearer.yaml"])),
    (sidecar(OURS, args=["serve", "-c", "/etc/pgbearer/../../shared/x"]), ["pod_shared", "pod_user"],
     sidecar(OURS, args=["serve"])),
    (sidecar(OURS, args=["proxy", "start"]), ["pod_shared", "pod_user"],
     beside(image=OURS, args=["proxy", "start"])),
    (sidecar(OURS, env=[{"name": "PYTHONPATH", "value": "/shared"}]), ["pod_shared", "pod_user"],
     sidecar(OURS, env=[{"name": "TZ", "value": "UTC"}])),
    (sidecar(OURS, envFrom=[{"configMapRef": {"name": "x"}}]), ["pod_shared", "pod_user"], sidecar(OURS, env=[])),
    (sidecar(OURS, lifecycle={"postStart": {"exec": {"command": ["sh"]}}}), ["pod_shared", "pod_user"],
     sidecar(OURS, restartPolicy="Always")),
    (sidecar(OURS, livenessProbe={"exec": {"command": ["sh"]}}), ["pod_shared", "pod_user"],
     sidecar(OURS, livenessProbe={"httpGet": {"path": "/healthz", "port": 8080}})),
    (sidecar(OURS, volumeMounts=[SOCKETS | {"subPath": ""}]), ["pod_shared", "pod_user"],
     sidecar(OURS, volumeMounts=[SOCKETS])),
    (sidecar(OURS, volumeMounts=[SOCKETS | {"mountPath": "/etc/pgbearer"}]), ["pod_shared", "pod_user"],
     sidecar(OURS, volumeMounts=[SOCKETS | {"readOnly": True}])),
    (sidecar(OURS, volumeMounts=[SOCKETS | {"subPathExpr": "x"}]), ["pod_shared", "pod_user"],
     sidecar(OURS, volumeMounts=[])),
    (sidecar(OURS, volumeMounts=[SOCKETS, {"name": "pgdata", "mountPath": "/var/lib/pgbearer"}]),
     ["pod_shared", "pod_user"],
     sidecar(OURS, volumeMounts=[SOCKETS, {"name": "scratch", "mountPath": "/var/lib/pgbearer"}])),
    (sidecar(OURS, volumeMounts=[SOCKETS, {"name": "scratch", "mountPath": "/usr/lib/python3"}]),
     ["pod_shared", "pod_user"],
     sidecar(OURS, volumeMounts=[SOCKETS, {"name": "scratch", "mountPath": "/etc/pgbearer/config"}])),
    (sidecar(OURS, volumeMounts=[SOCKETS, {"name": "scratch", "mountPath": "/run/pgbearer/../../usr"}]),
     ["pod_shared", "pod_user"],
     sidecar(OURS, volumeMounts=[SOCKETS, {"name": "scratch", "mountPath": "/run/pgbearer/"}])),
    # What else a patch does, of which tests/unit/test_cnpg_check_patch.py has all
    (puts("/metadata/labels", {}), ["pod_replaced"], puts("/metadata/labels", {}, op="test")),
    (puts("/spec/tolerations", []), ["pod_patched"], puts("/spec/tolerations", [], op="test")),
    (spec(env=[{"name": "LD_PRELOAD", "value": "/run/x.so"}]), ["library_elsewhere"],
     spec(env=[{"name": "TZ", "value": "UTC"}])),
    *((spec(env=[{"name": name, "value": "x"}]), ["library_elsewhere"], spec(env=[{"name": f"X_{name}", "value": "x"}]))
      for name in ("OPENSSL_CONF", "OPENSSL_MODULES", "GCONV_PATH", "PGSERVICEFILE")),
    (postgresql(extensions=[{"name": "pgbearer", "env": [{"name": "LD_AUDIT", "value": "x"}]}]),
     ["library_elsewhere"],
     postgresql(extensions=[{"name": "pgbearer", "env": [{"name": "PROJ_DATA", "value": "x"}]}])),
    # Whose image decides
    (sidecar("registry.evil.example/pgbearer:1"), ["image_elsewhere"], sidecar(OURS)),
    (sidecar("registry.corp.example/other/pgbearer:1"), ["image_elsewhere"],
     sidecar("registry.corp.example/pgbearer:1")),
    (sidecar("registry.corp.example.evil/pgbearer@sha256:" + "0" * 64), ["image_elsewhere"],
     sidecar("registry.corp.example/pgbearer@sha256:" + "0" * 64)),
    (sidecar("evil:1", command=["pgbearer"]), ["image_elsewhere"], sidecar(OURS, args=["pgbearer", "serve"])),
    (sidecar("evil:1"), ["pod_shared", "pod_user"], beside(image="evil:1")),
    (also(module("r:5000/m:1"), sidecar("r/pgbearer:1")), ["image_elsewhere"],
     also(module("r:5000/m:1"), sidecar("r:5000/pgbearer:1"))),
    (also(postgresql(extensions=[]), spec(imageName="r/postgres:18"), sidecar("r/pgbearer:1")),
     ["extension_missing", "image_elsewhere"],
     also(postgresql(extensions=[]), spec(imageName="r/postgres-pgbearer:18"), sidecar("r/pgbearer:1"))),
    # What is handed out
    (volume(hostPath={"path": "/var/lib/kubelet"}), ["pod_volume"], volume(emptyDir={})),
    (volume(HostPath={"Path": "/"}), ["pod_volume"], volume(ephemeral={})),
    (puts("/spec/volumes", [{"name": "more", "hostPath": {"path": "/"}}]), ["pod_replaced", "pod_volume"],
     puts("/spec/volumes/-", {"name": "more", "configMap": {"name": "hostPath"}})),
    (volume(persistentVolumeClaim={"claimName": "pg-1"}), ["pod_volume"],
     volume(persistentVolumeClaim={"claimName": "pg-reports"})),
    (volume(persistentVolumeClaim={"claimName": "pg-2-wal"}), ["pod_volume"],
     called("orders", volume(persistentVolumeClaim={"claimName": "pg-2-wal"}))),
    (volume(secret={"secretName": "pg-ca"}), ["pod_volume"], volume(secret={"secretName": "reports-ca"})),
    (called("orders", volume(secret={"secretName": "orders-replication"})), ["pod_volume"],
     called("orders", volume(secret={"secretName": "pg-replication"}))),
    (projected(secret={"name": "pg-superuser"}), ["pod_volume"], projected(secret={"name": "reports-superuser"})),
    (also(spec(bootstrap={"initdb": {"secret": {"name": "owner"}}}), projected(secret={"name": "owner"})),
     ["pod_volume"], also(spec(bootstrap={"initdb": {"owner": "owner"}}), projected(secret={"name": "owner"}))),
    (beside(envFrom=[{"secretRef": {"name": "pg-app"}}]), ["pod_volume"],
     beside(envFrom=[{"configMapRef": {"name": "pg-app"}}])),
    (beside(env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "pg-app", "key": "password"}}}]),
     ["pod_volume"], beside(env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "pg-app", "key": "x"}}}])),
    (also(projects("pgbearer-client-tls"), volume(secret={"secretName": "pgbearer-client-tls"})), ["pod_volume"],
     also(projects("pgbearer-client-tls"), volume(secret={"secretName": "pgbearer-service-tls"}))),
    *((bare(mounts), ["pod_token"], bare([NO_TOKEN]))
      for mounts in ([], [NO_TOKEN | {"mountPath": "/run/secrets/kubernetes.io/serviceaccount"}],
                     [NO_TOKEN | {"mountPath": f"{NO_TOKEN['mountPath']}/"}])),
    (projected(serviceAccountToken={"path": "t"}), ["pod_volume"],
     projected(serviceAccountToken={"path": "t", "audience": "vault"})),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected", "_"), PAIRS)
def test_what_is_found(change: Change, expected: list[str], _: Change) -> None:
    assert codes(changed(change)) == expected


@pytest.mark.parametrize(("_", "__", "nearest"), PAIRS)
def test_the_nearest_that_is_well(_: Change, __: list[str], nearest: Change) -> None:
    assert codes(changed(nearest)) == []


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("registry.other.example/pgbearer", []),
        ("registry.other.example/pgbearer@sha256:" + "1" * 64, []),
        ("registry.other.example/pgbearer:1@sha256:" + "1" * 64, []),
        ("registry.other.example/pgbearer@sha256:" + "2" * 64, ["image_elsewhere"]),
        ("registry.other.example/pgbearer:2", ["image_elsewhere"]),
        ("registry.other.example", ["image_elsewhere"]),
    ],
)
def test_whoever_asks_may_name_the_image(named: str, expected: list[str]) -> None:
    cluster = changed(sidecar("registry.other.example/pgbearer:1@sha256:" + "1" * 64))
    assert [finding.code for finding in check_text(json.dumps(cluster), images=[named])] == expected


@pytest.mark.parametrize(
    ("catalog", "expected"), [("versions", []), ("others", ["image_elsewhere"])], ids=["asked", "not asked"]
)
def test_the_module_may_come_by_a_catalog(catalog: str, expected: list[str]) -> None:
    extension = {"name": "pgbearer", "image": {"reference": "r.example/m:18"}}
    images = [{"major": 18, "image": "r/postgresql:18", "extensions": [extension]}]
    group = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "ClusterImageCatalog"}
    asked = {"kind": "ClusterImageCatalog", "name": "versions", "major": 18}
    cluster = also(
        spec(imageCatalogRef=asked), postgresql(extensions=[{"name": "pgbearer"}]), sidecar("r.example/pgbearer:1")
    )
    assert codes(changed(cluster), {**group, "metadata": {"name": catalog}, "spec": {"images": images}}) == expected


EVERY_CHECK = [(room, check) for room in (about_patch, about_volumes) for check in room.CHECKS]


@pytest.mark.parametrize(("room", "check"), EVERY_CHECK, ids=lambda value: getattr(value, "__name__", ""))
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, room: Any, check: Any) -> None:
    monkeypatch.setattr(room, "CHECKS", tuple(each for each in room.CHECKS if each is not check))
    assert any(codes(changed(change)) != expected for change, expected, _ in PAIRS)


def test_of_a_wrong_patch_nothing_is_taken() -> None:
    assert codes(changed(patch('[{"op": "add", "path": "/spec/volumes/-"}]'))) == ["pod_patch"]
