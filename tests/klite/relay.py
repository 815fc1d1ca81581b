"""A program that hands TCP connections on: ``python -m tests.klite.relay LISTEN TARGET PORT...``, until it is ended.

Started in a pod's network namespace it stands there for what listens on this machine's loopback.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence

__all__ = ["main"]


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(65536):
            target.write(piece)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()


async def _serve(listen: str, target: str, port: int) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(target, port)
            with contextlib.closing(there_writer):
                await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    await asyncio.start_server(meet, listen, port)


async def main(listen: str, target: str, ports: Sequence[int]) -> None:
    """Listen on each of `ports` at the address `listen`, and hand on to the same port at `target`; never returns."""
    for port in ports:
        await _serve(listen, target, port)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]]))
