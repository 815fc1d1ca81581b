"""Where each upstream of a proxy is reached: its own folder with its sockets, or sockets that came with the start."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgbearer.client.local.handed import check_handed, sockets_by_upstream
from pgbearer.client.local.places import make_base, runtime_folder
from pgbearer.client.proxy import Inherited, Listen, ListenTcp
from pgbearer.errors import UsageError
from pgbearer.systemd import Handed

__all__ = ["Layout", "Spot"]

_PASSFILE: Final = "passfile"


@dataclass(frozen=True, slots=True)
class Spot:
    """One upstream's."""

    folder: Path
    places: tuple[Listen | ListenTcp | Inherited, ...]

    @property
    def passfile(self) -> Path:
        """Holds the secret of a port on the loopback, where there is one."""
        return self.folder / _PASSFILE


@dataclass(frozen=True, slots=True)
class Layout:
    """What is asked for.

    Args:
        base: holds a folder for each upstream; `runtime_folder` if None.
        port: part of the names of Unix sockets.
        tcp_port: on the loopback, where that is asked for; 0 is any that is free.
        shared: whether other local users come in.
        handed: what a service manager made; then nothing else is listened on.
    """

    base: Path | None = None
    port: int = 5432
    tcp_port: int | None = None
    shared: bool = False
    handed: tuple[Handed, ...] = ()

    def make(self, names: Sequence[str]) -> list[Spot]:
        """Make the folders of upstreams with these names, and say what is where.

        Raises:
            UsageError: two have one name, a folder is not safe, a port cannot be shared out, or what was handed over is
                open to others or for nobody.
        """
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise UsageError(
                f"two upstreams would be called {doubled!r}", hint="Name them in client.toml, [upstreams]."
            )
        if self.shared and self.tcp_port is not None:
            raise UsageError("over TCP nobody can tell local users apart", hint="Leave --tcp or --peers out.")
        if self.tcp_port and len(names) > 1:
            raise UsageError("one port cannot be several upstreams'", hint="Leave it out: each gets a free one.")
        handed = sockets_by_upstream(names, self.handed) if self.handed else {}
        base = (self.base or runtime_folder()).absolute()
        spots = []
        for name in names:
            make_base(base / name, shared=self.shared)
            for each in handed.get(name, ()):
                check_handed(each, shared=self.shared)
            passfile = base / name / _PASSFILE
            inherited = tuple(Inherited(each, passfile) for each in handed.get(name, ()))
            spots.append(Spot(base / name, inherited or self._own(base / name)))
        return spots

    def _own(self, folder: Path) -> tuple[Listen | ListenTcp, ...]:
        unix = Listen(folder, self.port, self.shared)
        return (unix,) if self.tcp_port is None else (unix, ListenTcp(folder / _PASSFILE, self.tcp_port))
