"""A network of pods: each has a namespace and an address of its own, so that several can listen on the same port.

A bridge in a namespace for the node joins them, and one pair of interfaces joins that to this machine. All of it goes
with the processes that hold the namespaces. What listens on this machine's loopback is on each pod's as well, port by
port.
"""

import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.parts.processes import Running, launch, wait_until

__all__ = ["Network", "Place"]

_REPOSITORY: Final = Path(__file__).parents[2]
_SECONDS: Final = 30.0


@dataclass
class Place:
    """Where a pod is: its address, and the process that holds its namespace."""

    address: str
    holder: Running
    relay: Running

    @property
    def enter(self) -> list[str]:
        """What stands before a command that is to run there."""
        return _inside(self.holder)

    def leave(self) -> None:
        """Take the pod off the network; who runs there is cut off."""
        self.relay.stop()
        self.holder.stop()


@dataclass
class Network:
    """The network, up. A context manager that takes it down. Needs root and iproute2."""

    folder: Path
    prefix: str
    node: Running
    relays: dict[int, Running] = field(default_factory=dict)
    """What hands on to each port of this machine's loopback."""
    places: list[Place] = field(default_factory=list)
    count: int = 1
    """The last address that was given away; 1 is this machine's."""

    @classmethod
    def start(cls, folder: Path, loopback: Sequence[int]) -> Self:
        """Bring it up.

        Args:
            folder: for logs.
            loopback: ports on this machine's loopback that pods reach on theirs.

        Raises:
            subprocess.CalledProcessError: this machine does not let us.
        """
        prefix = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"  # noqa: S311 - only not another run's
        link = f"kl{prefix.removeprefix('10.').replace('.', '-')}"
        with ExitStack() as undo:
            node = _hold(folder / "node.log")
            undo.callback(node.stop)
            _ip("link", "add", link, "type", "veth", "peer", "name", "machine", "netns", str(node.pid))
            _ip("address", "add", f"{prefix}.1/24", "dev", link)
            _ip("link", "set", link, "up")
            _ip("link", "add", "bridge", "type", "bridge", there=node)
            _ip("link", "set", "bridge", "up", there=node)
            _ip("link", "set", "machine", "master", "bridge", "up", there=node)
            network = cls(folder, prefix, node)
            undo.callback(network.stop)
            for port in loopback:
                network.mend(port)
            undo.pop_all()
        return network

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take all pods off it, and then the network away."""
        for place in self.places:
            place.leave()
        for relay in self.relays.values():
            relay.stop()
        self.node.stop()

    def cut(self, port: int) -> None:
        """From now on pods reach nobody at this port of the machine's loopback; connections that are open end."""
        self.relays[port].stop()

    def mend(self, port: int) -> None:
        """Let pods reach who listens there."""
        log = self.folder / f"relay-{port}.log"
        log.unlink(missing_ok=True)
        self.relays[port] = _relay([], f"{self.prefix}.1", "127.0.0.1", [port], log)

    def join(self) -> Place:
        """A place for one more pod, with an address that no pod had before."""
        self.count += 1
        name, address = f"pod{self.count}", f"{self.prefix}.{self.count}"
        holder = _hold(self.folder / f"{name}.log")
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid), there=self.node)
        _ip("link", "set", name, "master", "bridge", "up", there=self.node)
        _ip("link", "set", "lo", "up", there=holder)
        _ip("address", "add", f"{address}/24", "dev", "eth0", there=holder)
        _ip("link", "set", "eth0", "up", there=holder)
        log = self.folder / f"{name}-relay.log"
        relay = _relay(_inside(holder), "127.0.0.1", f"{self.prefix}.1", list(self.relays), log)
        place = Place(address, holder, relay)
        self.places.append(place)
        return place


def _hold(log: Path) -> Running:
    """A process that does nothing, in a network namespace of its own."""
    process = launch(["unshare", "--net", "sleep", "infinity"], log=log)
    ours = Path("/proc/self/ns/net").readlink()
    wait_until(lambda: Path(f"/proc/{process.pid}/ns/net").readlink() != ours, _SECONDS, "a namespace", pause=0.01)
    return process


def _relay(enter: Sequence[str], listen: str, target: str, ports: Sequence[int], log: Path) -> Running:
    words = [*enter, "env", f"--chdir={_REPOSITORY}", sys.executable, "-m", "tests.klite.relay", listen, target]
    process = launch([*words, *map(str, ports)], log=log)
    wait_until(lambda: "listening" in log.read_text() or not process.alive(), _SECONDS, "a relay", pause=0.05)
    if not process.alive():
        raise subprocess.CalledProcessError(1, words, "", log.read_text())
    return process


def _ip(*words: str, there: Running | None = None) -> None:
    enter = [] if there is None else _inside(there)
    subprocess.run([*enter, "ip", *words], check=True, capture_output=True, text=True)


def _inside(holder: Running) -> list[str]:
    return ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--"]
