"""The volumes of a pod as folders: written once, and never refreshed as a kubelet would."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.klite.cluster import Cluster, ClusterError
from tests.klite.images import Images

__all__ = ["Source", "Volume"]

_MODE: Final = 0o644
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder, and whether the pod may only read it."""

    folder: Path
    read_only: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where the content of one pod's volumes comes from: the API server, and images.

    `pod` is the object, `claims` the folder with one folder a PersistentVolumeClaim.
    """

    cluster: Cluster
    images: Images
    pod: Json
    claims: Path

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
        """What the downward API says; of addresses there is one."""
        metadata = self.pod["metadata"]
        known = {f"metadata.{name}": metadata[name] for name in ("namespace", "name", "uid")}
        return str((known | {"status.podIP": "127.0.0.1", "status.hostIP": "127.0.0.1"})[path])

    def make(self, volume: Json, folder: Path, owner: tuple[int, int]) -> Volume:
        """The volume, its files below `folder` unless they are an image's or a claim's, given to uid and gid `owner`.

        Raises:
            ClusterError: this kind of volume cannot be made here.
        """
        if "image" in volume:
            return Volume(self.images.layers(volume["image"]["reference"])[-1], read_only=True)
        if "persistentVolumeClaim" in volume:
            folder = self.claims / f"{self.namespace}_{volume['persistentVolumeClaim']['claimName']}"
        folder.mkdir(parents=True, exist_ok=True)
        read_only = self._fill(volume, folder)
        subprocess.run(["chown", "-R", f"{owner[0]}:{owner[1]}", folder], check=True)
        folder.chmod(0o2755 if read_only else 0o2770)
        return Volume(folder, read_only)

    def _fill(self, volume: Json, folder: Path) -> bool:
        """Write what is in it; whether it may only be read."""
        match volume:
            case {"projected": {"sources": sources}}:
                for source in sources:
                    self._project(source, folder)
            case {"secret": secret}:
                _put_items(folder, secret, self.secret(secret["secretName"]))
            case {"configMap": config_map}:
                _put_items(folder, config_map, self.config_map(config_map["name"]))
            case {"emptyDir": _} | {"persistentVolumeClaim": _}:
                return False
            case _:
                raise ClusterError(f"no such volume can be made here: {json.dumps(volume)}")
        return True

    def _project(self, source: Json, folder: Path) -> None:
        match source:
            case {"configMap": config_map}:
                _put_items(folder, config_map, self.config_map(config_map["name"]))
            case {"secret": secret}:
                _put_items(folder, secret, self.secret(secret["name"]))
            case {"downwardAPI": {"items": items}}:
                for item in items:
                    _put(folder, item["path"], self.field(item["fieldRef"]["fieldPath"]).encode(), _MODE)
            case {"serviceAccountToken": token}:
                _put(folder, token["path"], self._token(token).encode(), 0o640)
            case _:
                raise ClusterError(f"this cannot be projected here: {json.dumps(source)}")

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


def _put_items(folder: Path, source: Json, data: Mapping[str, bytes]) -> None:
    for item in source.get("items") or [{"key": key, "path": key} for key in data]:
        _put(folder, item["path"], data[item["key"]], item.get("mode", _MODE))


def _put(folder: Path, path: str, content: bytes, mode: int) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        out.write(content)
    file.chmod(mode)
