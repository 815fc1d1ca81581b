"""A container as a process of this machine: mounts and process ids of its own, an overlay of its image as root.

No capabilities, no way to get any, the pod's uid and gid; but devices and cgroup are this machine's, and so is the
network unless the pod has a place of its own. It is no sandbox, and runs only what the project itself has made.
"""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.klite.cluster import Cluster
from tests.klite.images import follow
from tests.klite.services import LOOPBACK, hosts
from tests.klite.volumes import Source, Volume
from tests.parts.processes import Running, TimeUpError, launch, wait_until

__all__ = ["Container", "owner", "start"]

_PATH: Final = "/usr/lib/postgresql/18/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAKE_FOLDER: Final = (
    'dir() { local p=. part IFS=/; for part in $1; do p=$p/$part; [ ! -L "$p" ] || exit 1; done; mkdir -p "./$1"; }'
)
"""The last line of defence behind `follow`: no mount point is made below a symlink."""
_BEGIN_SECONDS: Final = 30.0
_SUBPATH_KEEPS: Final = 0o2777
"""Not the sticky bit (Kubernetes' pkg/volume/util/subpath/subpath_linux.go, doSafeMakeDir)."""
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started; `process` is the ``unshare`` that its processes end with."""

    name: str
    folder: Path
    process: Running
    address: str = LOOPBACK

    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        file = self.folder / "code"
        return int(file.read_text()) if not self.process.alive() and file.exists() else None

    def begun(self) -> bool:
        """Whether it has its root and runs as itself, or is about to."""
        return (self.folder / "pid").exists()

    def pid(self) -> int:
        """Its first process, as this machine counts."""
        return int((self.folder / "pid").read_text().split()[0])

    def execute(self, *words: str) -> str:
        """What a command prints that is run inside, as its first process's user and with its environment.

        Raises:
            subprocess.CalledProcessError: it failed, or the container does not run.
        """
        if not self.process.alive():
            raise subprocess.CalledProcessError(1, words, "", f"{self.name} does not run")
        here = Path(f"/proc/{self.pid()}")
        variables = [each for each in (here / "environ").read_text().split("\0") if each]
        said = dict(line.split(":", 1) for line in (here / "status").read_text().splitlines())
        uid, gid = said["Uid"].split()[0], said["Gid"].split()[0]
        spaces = ["-m", "-p", "-n", "-r", "-w"]
        enter = ["nsenter", "-t", str(self.pid()), *spaces, "-S", uid, "-G", gid, "--", "env", "-i"]
        done = subprocess.run([*enter, *variables, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def name_services(self, names: str) -> None:
        """Let it know Services by the lines of `names`, from the next look-up on."""
        file = self.folder / "hosts"
        if file.read_text() != names:
            file.write_text(names)  # in place: what is mounted is this very file

    def stop(self, patience: float = 60.0) -> None:
        """Ask its first process to end, wait `patience` seconds, then kill all. Gone already is fine."""
        if not self.process.alive():
            return
        os.kill(self.pid(), signal.SIGTERM)
        try:
            wait_until(lambda: not self.process.alive(), patience, f"the end of {self.name}")
        except TimeUpError:
            self.process.stop(how=signal.SIGKILL)


def start(spec: Json, source: Source, folder: Path, volumes: Mapping[str, Volume]) -> Container:
    """Start one of a pod's containers and return at once.

    Args:
        spec: the container.
        source: what its environment refers to, and its image's content.
        folder: of this container alone; what was there is removed.
        volumes: of the pod, by name.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("fs", "upper", "work"):
        (folder / part).mkdir(parents=True)
    script = folder / "run.sh"
    script.touch(mode=0o600)  # its environment may hold secrets
    script.write_text(_script(spec, source, folder, volumes))
    (folder / "hosts").write_text(hosts(source.cluster, source.namespace))
    unshared = source.sandbox.command("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", script)
    own = [*source.enter, *unshared]
    outer = 'code=$1; shift; "$@"; echo $? > "$code.new"; mv "$code.new" "$code"'
    process = launch(["bash", "-c", outer, "outer", folder / "code", *own], log=folder / "log")
    container = Container(spec["name"], folder, process, source.address)
    wait_until(lambda: container.begun() or not process.alive(), _BEGIN_SECONDS, f"{container.name} to begin")
    return container


def _script(spec: Json, source: Source, root: Path, volumes: Mapping[str, Volume]) -> str:
    layers = source.images.layers(spec["image"])
    overlay = f"lowerdir={':'.join(map(str, layers))},upperdir={root}/upper,workdir={root}/work"
    lines = [
        "set -e",
        "read -r -a st < /proc/self/stat",  # before proc is mounted anew
        f"echo ${{st[0]}} ${{st[21]}} > {root}/pid.new; mv {root}/pid.new {root}/pid",  # and when it began: proc(5)
        "mount --make-rprivate /",
        f"mount -t overlay overlay -o {shlex.quote(overlay)} {root}/fs",
        f"cd {root}/fs",
        _MAKE_FOLDER,
        "for d in proc dev etc tmp; do dir $d; done",
        "mount -t proc proc proc",
        "mount --rbind /dev dev",
        "[ -e etc/hosts ] || : > etc/hosts",
        f"mount --bind {root}/hosts etc/hosts",
        *_mounts(spec, source, volumes),
    ]
    context = spec.get("securityContext", {})
    if context.get("readOnlyRootFilesystem"):
        lines.append(f"mount -o remount,ro {root}/fs")
    return "\n".join([*lines, _command(spec, source, root)]) + "\n"


def _mounts(spec: Json, source: Source, volumes: Mapping[str, Volume]) -> list[str]:
    layers = source.images.layers(spec["image"])
    lines = []
    placed = [(follow(layers, mount["mountPath"]), mount) for mount in spec.get("volumeMounts", [])]
    for path, mount in sorted(placed, key=lambda pair: pair[0]):
        volume = volumes[mount["name"]]
        folder = _below(volume, mount.get("subPath", ""))
        at = shlex.quote(f".{path}")
        lines += [f"dir {shlex.quote(path.lstrip('/'))}", f"mount --bind {shlex.quote(str(folder))} {at}"]
        if volume.read_only or mount.get("readOnly"):
            lines.append(f"mount -o remount,bind,ro {at}")
    return lines


def _below(volume: Volume, path: str) -> Path:
    """A folder in a volume, made on first use as the kubelet does: with the volume's own mode and group."""
    if not path:
        return volume.folder
    inner = follow([volume.outside], path).lstrip("/")
    folder = volume.outside / inner
    if not volume.read_only and not folder.exists():
        folder.mkdir(parents=True)
        there = volume.outside.stat()
        os.chown(folder, -1, there.st_gid)
        folder.chmod(there.st_mode & _SUBPATH_KEEPS)
    return volume.folder / inner


def owner(pod: Json) -> tuple[int, int]:
    """The pod's uid and gid."""
    context = pod["spec"].get("securityContext", {})
    return context.get("runAsUser", 0), context.get("runAsGroup", context.get("fsGroup", 0))


def _command(spec: Json, source: Source, root: Path) -> str:
    """Setting the uid from root drops every capability, and no_new_privs keeps it so."""
    uid, gid = owner(source.pod)
    context = spec.get("securityContext", {})
    user = f"{context.get('runAsUser', uid)}:{context.get('runAsGroup', gid)}"
    variables = [f"{name}={value}" for name, value in _environment(spec, source).items()]
    words = [*spec.get("command", []), *spec.get("args", [])]
    group = source.group
    inside = ["chroot", f"--userspec={user}", f"--groups={'' if group is None else group}", str(root / "fs"), *words]
    return shlex.join(["exec", "env", "-i", *variables, "setpriv", "--no-new-privs", *inside])


def _environment(spec: Json, source: Source) -> dict[str, str]:
    cluster: Cluster = source.cluster
    variables = {
        "PATH": _PATH,
        "HOSTNAME": source.pod["spec"].get("hostname", source.pod["metadata"]["name"]),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": cluster.url.rpartition(":")[2],
    }
    for entry in spec.get("env", []):
        variables[entry["name"]] = _value(entry, source)
    return variables


def _value(entry: Json, source: Source) -> str:
    match entry.get("valueFrom"):
        case {"secretKeyRef": {"name": name, "key": key}}:
            return source.secret(name)[key].decode()
        case {"configMapKeyRef": {"name": name, "key": key}}:
            return source.config_map(name)[key].decode()
        case {"fieldRef": {"fieldPath": path}}:
            return source.field(path)
        case _:
            return str(entry.get("value", ""))
