"""A program with a proxy of its own, in this process: it is there before the program begins and gone once it ends."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pgbearer.client.connection.conninfo import resolve
from pgbearer.client.local.child import run_child
from pgbearer.client.local.environment import Door, environment_for
from pgbearer.client.local.loop import run
from pgbearer.client.local.places import private_folder
from pgbearer.client.proxy import Listen, ListenTcp, Proxy, ProxySettings, Upstream
from pgbearer.hardening import raise_file_limit

__all__ = ["run_plainly", "run_with_proxy"]

_PASSFILE: Final = "passfile"
_SETTINGS: Final = ProxySettings(drain_seconds=0)  # with the program, whatever it left behind is ended


def run_with_proxy(
    upstream: Upstream, command: Sequence[str], *, tcp: bool = False, inherited: Mapping[str, str] = os.environ
) -> int:
    """Run a program whose PGHOST and PGPORT are a proxy's that only this user can reach. Blocks until it has ended.

    Args:
        upstream: where the proxy leads.
        command: the program and its arguments.
        tcp: a port of the loopback and a passfile (PGPASSFILE), for programs that cannot do Unix sockets.
        inherited: our own environment.

    Returns:
        Its exit code, as `run_child` has it.

    Raises:
        UsageError: the upstream is not usable, or the program cannot be started.
        UnsafeServerError: the upstream insists on a channel that a token may not go through.
    """
    options = resolve(upstream.conninfo, {})
    with private_folder() as folder:
        return run(_run(upstream, command, options, folder, tcp=tcp, inherited=inherited))


def run_plainly(command: Sequence[str], inherited: Mapping[str, str] = os.environ) -> int:
    """Run a program that connects nowhere; as `run_with_proxy` otherwise."""
    return run(run_child(command, inherited))


async def _run(
    upstream: Upstream,
    command: Sequence[str],
    options: Mapping[str, str],
    folder: Path,
    *,
    tcp: bool,
    inherited: Mapping[str, str],
) -> int:
    place = ListenTcp(folder / _PASSFILE) if tcp else Listen(folder)
    async with Proxy([(upstream, [place])], _SETTINGS) as proxy:
        (where,) = proxy.status().upstreams[0].listening
        host, _, port = where.rpartition(":")
        door = Door(host, int(port), folder / _PASSFILE if tcp else None)
        return await run_child(command, environment_for(door, options, inherited), started=raise_file_limit)
