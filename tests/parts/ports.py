"""Free TCP ports on the loopback."""

import os
import random
import socket

__all__ = ["free_port", "prefer"]

# Below the range from which the kernel takes the ports of outgoing connections (ip(7), ip_local_port_range: 32768 on):
# between our look and the server's bind, no connection of anybody's can have taken the port.
_FIRST, _LAST = 20000, 32000
_SIDE_BY_SIDE = "PYTEST_XDIST_WORKER"
"""Which of them a test process is, if there are several; what it starts has it too."""


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now.

    Raises:
        OSError: a hundred tries found none.
    """
    first, last = _share()
    for _ in range(100):
        port = random.randint(first, last)  # noqa: S311 - not a secret
        if _is_free(port):
            return port
    raise OSError(f"no free port on 127.0.0.1 between {first} and {last}")


def prefer(port: int) -> int:
    """`port` if nobody listens there on 127.0.0.1, else a free one; raises as `free_port`.

    Of test processes side by side none has it: between the look and the server's bind another may take it, as the pods
    of the operator's tests take 8443.
    """
    return port if _SIDE_BY_SIDE not in os.environ and _is_free(port) else free_port()


def _share() -> tuple[int, int]:
    """This test process's own ports: two that run side by side cannot both find the same one free, and both use it."""
    worker = int(os.environ.get(_SIDE_BY_SIDE, "gw0").removeprefix("gw"))
    size = (_LAST - _FIRST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return _FIRST + worker * size, _FIRST + (worker + 1) * size - 1


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
