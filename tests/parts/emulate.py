"""Run a command where the kernel hands programs for arm64 to QEMU, without telling the machine.

    emulate.py QEMU COMMAND [ARGUMENT...]

What binfmt_misc has registered belongs to a user namespace since Linux 6.7. So this enters one of its own, in which
every uid is itself, and registers QEMU there; both end with the command. The F makes the kernel open QEMU now, so that
the command may enter a root in which it is not. Needs root. Nothing of the project is imported: this replaces itself.
"""

import ctypes
import os
import sys
from pathlib import Path

_NEW_NAMESPACES = (
    0x10000000 | 0x00020000
)  # CLONE_NEWUSER, CLONE_NEWNS: <linux/sched.h>; os.unshare came with Python 3.12
_EVERYBODY = "0 0 4294967295"
_REGISTRY = Path("/proc/sys/fs/binfmt_misc")
_ELF_AARCH64 = "7f454c460201010000000000000000000200b700"  # 64 bits, least byte first, executable, EM_AARCH64
_LOOKED_AT = "ffffffffffffff00fffffffffffffffffeffffff"  # not the ABI; and a shared object is executable too


def main(qemu: str, command: list[str]) -> None:
    """Become `command`."""
    _enter_namespaces()
    _call("mount", b"binfmt_misc", str(_REGISTRY).encode(), b"binfmt_misc", 0, None)
    (_REGISTRY / "register").write_bytes(
        b":arm64:M::" + _escaped(_ELF_AARCH64) + b":" + _escaped(_LOOKED_AT) + f":{qemu}:FP".encode()
    )
    os.execvp(command[0], command)  # noqa: S606 - the command is what this is for


def _enter_namespaces() -> None:
    """Only a process outside may say who is who in a new namespace, so one is left behind for that."""
    ours = Path("/proc/self").readlink()  # in the numbers of /proc, which may not be those of our PID namespace
    inside, entered = os.pipe()
    outside = os.fork()
    if outside == 0:
        os.close(entered)
        if os.read(inside, 1):
            for which in ("uid_map", "gid_map"):
                Path(f"/proc/{ours}/{which}").write_text(_EVERYBODY)
            os._exit(0)
        os._exit(1)
    _call("unshare", _NEW_NAMESPACES)
    os.write(entered, b".")
    if os.waitpid(outside, 0)[1] != 0:
        sys.exit("nobody is anybody in the new namespace")


def _escaped(digits: str) -> bytes:
    return b"".join(b"\\x%02x" % each for each in bytes.fromhex(digits))


def _call(name: str, *words: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
