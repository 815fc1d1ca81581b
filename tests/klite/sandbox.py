"""The sandbox of a pod: a process that keeps its mounts, and with whose end they are gone, whatever else is.

Volumes in memory are file systems of their own there, as a kubelet makes them. Containers are begun inside of it.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.parts.processes import Running, launch, wait_until

__all__ = ["Sandbox"]

_BEGIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A mount namespace, kept by `process`."""

    process: Running

    @classmethod
    def start(cls, folder: Path) -> Self:
        """One whose log is in `folder`. Needs root."""
        log = folder / "sandbox.log"
        keep = "echo begun; exec sleep infinity"
        process = launch(["unshare", "--mount", "--propagation", "private", "sh", "-c", keep], log=log)
        wait_until(lambda: "begun" in log.read_text(), _BEGIN_SECONDS, "a sandbox to begin", pause=0.02)
        return cls(process)

    def command(self, *words: str | Path) -> list[str]:
        """The command line that runs `words` with these mounts."""
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--", *map(str, words)]

    def mount_memory(self, folder: Path) -> None:
        """Put a file system in memory over `folder`."""
        subprocess.run(self.command("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", folder), check=True)

    def seen(self, folder: Path) -> Path:
        """Where this process finds what `folder` is in there."""
        return Path(f"/proc/{self.process.pid}/root{folder}")

    def stop(self) -> None:
        """End it."""
        self.process.stop()
