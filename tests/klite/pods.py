"""What a kubelet does with a pod, once: volumes, init containers, native sidecars, containers, and its status.

A pod is reported as Ready as soon as its containers are started; whether it is can be waited for. What stands beside an
application is waited for first, as its startup probe says. A container that ends is started again, and what is in a
volume renewed, on demand.
"""

import datetime
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.klite import containers, probes
from tests.klite.cluster import Cluster, ClusterError
from tests.klite.containers import Container
from tests.klite.images import Images
from tests.klite.network import Network
from tests.klite.node import Node
from tests.klite.sandbox import Sandbox
from tests.klite.services import LOOPBACK, hosts
from tests.klite.volumes import Source, Volume
from tests.parts.processes import wait_until

__all__ = ["Kubelet", "Pod"]

_INIT_SECONDS: Final = 180.0
_REST_SECONDS: Final = 10.0
"""For which what ends again and again rests, as with a kubelet; what it said last can be read meanwhile."""
Json = Mapping[str, Any]


@dataclass
class Pod:
    """A pod whose containers were started."""

    kubelet: "Kubelet"
    source: Source
    folder: Path
    running: dict[str, Container] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    resting: dict[str, float] = field(default_factory=dict)
    """By container that was started again: when it may be once more, in seconds of the monotonic clock."""

    @property
    def name(self) -> str:
        """The pod's."""
        return str(self.source.pod["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's, which no other has that is called the same."""
        return str(self.source.pod["metadata"]["uid"])

    @property
    def address(self) -> str:
        """The pod's: its own if its kubelet has a network of pods, else the loopback's."""
        return self.source.address

    def wait(self, patience: float = _INIT_SECONDS) -> int:
        """Wait for the end of the first container, which is the pod's, report it, and return its exit code.

        Raises:
            TimeUpError: it still runs after `patience` seconds.
        """
        main = self.running[self.source.pod["spec"]["containers"][0]["name"]]
        wait_until(lambda: not main.process.alive(), patience, f"the end of {self.name}")
        code = main.exit_code()
        self.stop()
        state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}
        self.kubelet.report(
            self.source.pod, "Succeeded" if code == 0 else "Failed", ready=False, state=state, address=self.address
        )
        return 1 if code is None else code

    def await_ready(self) -> None:
        """Wait until the readiness probes of its containers succeed.

        Raises:
            ClusterError: they did not in two minutes, or a container ended; with what that printed.
        """
        spec = self.source.pod["spec"]
        for each in (*_sidecars(spec), *spec["containers"]):
            probes.await_success(each, "readinessProbe", self.running[each["name"]])

    def refresh(self) -> None:
        """Write anew what its volumes have from the API server, as a kubelet does within a minute or so."""
        for each in self.source.pod["spec"].get("volumes", []):
            if each.keys() & {"projected", "configMap", "secret"}:
                self.volume(each)

    def volume(self, volume: Json) -> Volume:
        """One of its volumes, made now."""
        return self.source.make(volume, self.folder / "volumes" / volume["name"], containers.owner(self.source.pod))

    def revive(self) -> None:
        """Start again what has ended of its containers, and was to go on: the first time at once."""
        spec = self.source.pod["spec"]
        for each in (*_sidecars(spec), *spec["containers"]):
            name, now = each["name"], time.monotonic()
            if not self.running[name].process.alive() and now >= self.resting.get(name, now):
                self.running[name] = self.start(each)
                self.resting[name] = now + _REST_SECONDS

    def start(self, spec: Json) -> Container:
        """Start one of its containers, its volumes made."""
        return containers.start(spec, self.source, self.folder / spec["name"], self.volumes)

    def name_services(self) -> None:
        """Let its containers know where Services lead now."""
        names = hosts(self.kubelet.cluster, self.source.namespace)
        for container in self.running.values():
            container.name_services(names)

    def stop(self) -> None:
        """End every container, the first one first, and give its place back."""
        for container in reversed(self.running.values()):
            container.stop()
        self.source.sandbox.stop()
        if self.source.place is not None:
            self.source.place.leave()

    def fail(self) -> None:
        """Lose it, as with its node: all of it is cut off and killed, and reported as not ready."""
        if self.source.place is not None:
            self.source.place.leave()
        for container in self.running.values():
            container.stop(patience=0)
        self.stop()
        state = {"terminated": {"exitCode": 137, "reason": "Error"}}
        self.kubelet.report(self.source.pod, "Running", ready=False, state=state, address=self.address)

    def logs(self) -> str:
        """The last that each container has printed."""
        return "\n".join(f"--- {name}\n{each.log()[-2000:]}" for name, each in self.running.items())


@dataclass
class Kubelet:
    """Runs pods of one API server on this machine, which is one of its nodes. Needs root.

    With a `network` each pod has an address of its own on it, else it is on this machine's. `drivers` are the CSI
    drivers of the node, each with the folder that all its volumes show.
    """

    node: Node
    images: Images
    network: Network | None = None
    drivers: dict[str, Path] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        """The API server's."""
        return self.node.cluster

    def run(self, namespace: str, name: str) -> Pod:
        """Start the pod and report it as running.

        Raises:
            ClusterError: an init container failed, or something in it cannot be done here.
        """
        found = self.cluster.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        here = self.node.pods / f"{namespace}_{name}"
        shutil.rmtree(here, ignore_errors=True)  # of one that had its name before
        here.mkdir()
        self.node.take(namespace, name)
        place = None if self.network is None else self.network.join()
        claims, sandbox = self.node.folder / "claims", Sandbox.start(here)
        source = Source(self.cluster, self.images, found, claims, sandbox, place, self.drivers)
        pod = Pod(self, source, here)
        try:
            self._start(pod)
        except BaseException:
            pod.stop()
            raise
        now = {"running": {"startedAt": _now()}}
        self.report(found, "Running", ready=True, state=now, address=pod.address)
        return pod

    def bind_claims(self, namespace: str, selector: str) -> None:
        """Give every claim a folder as its volume."""
        found = json.loads(self.cluster.kubectl("-n", namespace, "get", "pvc", "-l", selector, "-o", "json"))
        for claim in found["items"]:
            folder = self.node.folder / "claims" / claim["metadata"]["uid"]
            folder.mkdir(parents=True, exist_ok=True)
            self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_volume(namespace, claim, folder)))

    def report(self, pod: Json, phase: str, *, ready: bool, state: Json, address: str = LOOPBACK) -> None:
        """Tell the API server how the pod is."""
        spec, metadata = pod["spec"], pod["metadata"]
        status = {
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": LOOPBACK,
            "startTime": _now(),
            "conditions": [
                {"type": kind, "status": str(ready), "lastTransitionTime": _now()}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": _statuses(spec["containers"], ready=ready, state=state),
        }
        if beside := _sidecars(spec):
            status["initContainerStatuses"] = _statuses(beside, ready=ready, state=state)
        patch = json.dumps({"status": status})
        words = ["patch", "pod", metadata["name"], "--subresource=status", "--type=merge", "-p", patch]
        self.cluster.kubectl("-n", metadata["namespace"], *words)

    def _start(self, pod: Pod) -> None:
        spec = pod.source.pod["spec"]
        pod.volumes = {each["name"]: pod.volume(each) for each in spec.get("volumes", [])}
        for each in spec.get("initContainers", []):
            container = pod.start(each)
            if each in _sidecars(spec):
                pod.running[container.name] = container
                probes.await_success(each, "startupProbe", container)
                continue
            _await_success(container)
        for each in (*spec["containers"][1:], spec["containers"][0]):
            pod.running[each["name"]] = pod.start(each)


def _await_success(container: Container) -> None:
    wait_until(lambda: not container.process.alive(), _INIT_SECONDS, f"the end of {container.name}")
    if container.exit_code() != 0:
        raise ClusterError(f"init container {container.name} failed:\n{container.log()[-2000:]}")


def _sidecars(spec: Json) -> list[Json]:
    """Native sidecars: init containers that go on beside the others."""
    return [each for each in spec.get("initContainers", []) if each.get("restartPolicy") == "Always"]


def _statuses(specs: list[Json], *, ready: bool, state: Json) -> list[Json]:
    same = {"ready": ready, "started": ready, "restartCount": 0, "state": state}
    return [{"name": each["name"], "image": each["image"], "imageID": each["image"], **same} for each in specs]


def _volume(namespace: str, claim: Json, folder: Path) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{claim['metadata']['uid']}"},
        "spec": {
            "capacity": {"storage": "1000Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": claim["spec"].get("storageClassName", ""),
            "hostPath": {"path": str(folder)},
            "claimRef": {"namespace": namespace, "name": claim["metadata"]["name"]},
        },
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
