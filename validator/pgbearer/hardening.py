"""What a process that holds tokens gives up, so that they stay in its memory."""

import ctypes
import resource
import sys
from typing import Final

__all__ = ["forbid_dumps", "raise_file_limit"]

_PR_SET_DUMPABLE: Final = 4
"""prctl(2), linux/prctl.h."""


def forbid_dumps() -> None:
    """No core dump, and no other process of the same user may read our memory (ptrace(2), proc(5)).

    The limit alone is not enough: a core_pattern that is a pipe ignores it (core(5)). Where there is no prctl(2), as on
    macOS, the limit is all there is. A program that is started from here gets the second back.

    Raises:
        OSError: the kernel refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def raise_file_limit() -> None:
    """As many open files as we are allowed: each login under way is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
