"""What the process gives up at start, so that a token in its memory stays there."""

import ctypes
import resource
from typing import Final

__all__ = ["forbid_dumps", "raise_file_limit"]

_PR_SET_DUMPABLE: Final = 4
"""prctl(2), linux/prctl.h."""


def forbid_dumps() -> None:
    """No core dump, and no other process of the same user may read our memory (ptrace(2), proc(5)).

    Raises:
        OSError: the kernel refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def raise_file_limit() -> None:
    """As many open files as we are allowed: each login under way is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
