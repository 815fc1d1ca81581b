"""The volumes of a pod as folders, with the modes and owners that a kubelet gives them; a claim's is a plain folder."""

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.klite import payload
from tests.klite.cluster import Cluster, ClusterError
from tests.klite.images import Images
from tests.klite.network import Place
from tests.klite.payload import File
from tests.klite.sandbox import Sandbox
from tests.klite.services import LOOPBACK

__all__ = ["Source", "Volume"]

_MODE: Final = 0o644
_TOKEN_MODE: Final = 0o600
_OPEN: Final = 0o777
_GROUP_WRITES: Final = 0o660
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of the pod's sandbox, where this process finds it, and whether the pod may only read it."""

    folder: Path
    outside: Path
    read_only: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where the content of one pod's volumes comes from: the API server, and images.

    `pod` is the object, `claims` the folder with one folder a PersistentVolumeClaim, by its uid; `place` is where it is
    on a network of pods, None if it is on this machine's; `drivers` are the folders that CSI drivers hand on, by name.
    """

    cluster: Cluster
    images: Images
    pod: Json
    claims: Path
    sandbox: Sandbox
    place: Place | None = None
    drivers: Mapping[str, Path] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The pod's."""
        return LOOPBACK if self.place is None else self.place.address

    @property
    def enter(self) -> list[str]:
        """What stands before a command that is to run at the pod's address."""
        return [] if self.place is None else self.place.enter

    @property
    def namespace(self) -> str:
        """The pod's."""
        return str(self.pod["metadata"]["namespace"])

    def secret(self, name: str) -> dict[str, bytes]:
        """The content of a Secret."""
        return _decoded(self._get("secret", name).get("data", {}))

    def config_map(self, name: str) -> dict[str, bytes]:
        """The content of a ConfigMap."""
        found = self._get("configmap", name)
        text = {key: value.encode() for key, value in found.get("data", {}).items()}
        return text | _decoded(found.get("binaryData", {}))

    def field(self, path: str) -> str:
        """What the downward API says; the pod's address is its place's."""
        metadata = self.pod["metadata"]
        known = {f"metadata.{name}": metadata[name] for name in ("namespace", "name", "uid")}
        return str((known | {"status.podIP": self.address, "status.hostIP": LOOPBACK})[path])

    @property
    def group(self) -> int | None:
        """The pod's ``fsGroup``."""
        found: int | None = self.pod["spec"].get("securityContext", {}).get("fsGroup")
        return found

    def make(self, volume: Json, folder: Path, owner: tuple[int, int]) -> Volume:
        """The volume, its files below `folder` unless they are an image's or a claim's; a claim's are `owner`'s.

        Of settings, secrets and tokens once more for the same folder: they are renewed there, all at once.

        Raises:
            ClusterError: this kind of volume cannot be made here.
        """
        if "image" in volume:
            content = self.images.layers(volume["image"]["reference"])[-1]
            return Volume(content, content, read_only=True)
        if "csi" in volume:
            return self._handed_on(volume["csi"])
        if "persistentVolumeClaim" in volume:
            return self._claimed(volume["persistentVolumeClaim"]["claimName"], owner)
        files = self._files(volume)
        outside = self.sandbox.seen(folder)
        if not folder.exists():
            folder.mkdir(parents=True)
            if _in_memory(volume):
                self.sandbox.mount_memory(folder)
            else:
                outside.chmod(_OPEN)
            if self.group is not None:
                payload.give_to_group(outside, self.group, _GROUP_WRITES)
        if files is not None:
            payload.write(outside, files, self.group)
        return Volume(folder, outside, read_only=files is not None)

    def _handed_on(self, csi: Json) -> Volume:
        """What a driver on the node mounts, such as SPIFFE's: the one folder with the agent's socket."""
        if csi["driver"] not in self.drivers:
            raise ClusterError(f"no such driver is here: {csi['driver']}")
        folder = self.drivers[csi["driver"]]
        return Volume(folder, folder, read_only=bool(csi.get("readOnly")))

    def _claimed(self, name: str, owner: tuple[int, int]) -> Volume:
        folder = self.claims / self._get("persistentvolumeclaim", name)["metadata"]["uid"]
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chown", "-R", f"{owner[0]}:{owner[1]}", folder], check=True)
        folder.chmod(0o2770)
        return Volume(folder, folder, read_only=False)

    def _files(self, volume: Json) -> dict[str, File] | None:
        """What is in it; None if it is for the pod to fill."""
        match volume:
            case {"projected": {"sources": sources} as projected}:
                mode = projected.get("defaultMode", _MODE)
                return {path: file for source in sources for path, file in self._projected(source, mode).items()}
            case {"secret": secret}:
                return _items(secret, self.secret(secret["secretName"]), secret.get("defaultMode", _MODE))
            case {"configMap": config_map}:
                return _items(config_map, self.config_map(config_map["name"]), config_map.get("defaultMode", _MODE))
            case {"emptyDir": _}:
                return None
            case _:
                raise ClusterError(f"no such volume can be made here: {json.dumps(volume)}")

    def _projected(self, source: Json, mode: int) -> dict[str, File]:
        match source:
            case {"configMap": config_map}:
                return _items(config_map, self.config_map(config_map["name"]), mode)
            case {"secret": secret}:
                return _items(secret, self.secret(secret["name"]), mode)
            case {"downwardAPI": {"items": items}}:
                return {item["path"]: File(self.field(item["fieldRef"]["fieldPath"]).encode(), mode) for item in items}
            case {"serviceAccountToken": token}:
                return {token["path"]: File(self._token(token).encode(), *self._token_is_for(mode))}
            case _:
                raise ClusterError(f"this cannot be projected here: {json.dumps(source)}")

    def _token_is_for(self, mode: int) -> tuple[int, int]:
        """Mode and owner of a token: private as soon as the pod says who it is (pkg/volume/projected/projected.go)."""
        spec = self.pod["spec"]
        usual = spec.get("securityContext", {}).get("runAsUser")
        each = [*spec.get("initContainers", []), *spec["containers"]]
        users = {one.get("securityContext", {}).get("runAsUser", usual) for one in each}
        (user,) = users if len(users) == 1 else (None,)
        private = user is not None or self.group is not None
        return (_TOKEN_MODE if private else mode), user or 0

    def _token(self, wanted: Json) -> str:
        account = self.pod["spec"]["serviceAccountName"]
        audiences = [wanted["audience"]] if "audience" in wanted else []
        seconds = wanted.get("expirationSeconds", 3600)
        return self.cluster.token(self.namespace, account, *audiences, pod=self.pod, seconds=seconds)

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.get(f"/api/v1/namespaces/{self.namespace}/{kind}s/{name}")
        return found


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in data.items()}


def _items(source: Json, data: Mapping[str, bytes], mode: int) -> dict[str, File]:
    """The chosen keys, or all, under the paths and modes that are asked for."""
    items = source.get("items") or [{"key": key, "path": key} for key in data]
    return {item["path"]: File(data[item["key"]], item.get("mode", mode)) for item in items}


def _in_memory(volume: Json) -> bool:
    """Of files from the API server only a ConfigMap's own volume is not."""
    return "configMap" not in volume and volume.get("emptyDir", {"medium": "Memory"}).get("medium") == "Memory"
