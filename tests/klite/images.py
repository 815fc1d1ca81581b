"""What is in an image, as folders of this machine: a container engine is not needed to run what is in one."""

from collections.abc import Sequence
from pathlib import Path

from tests.klite.cluster import ClusterError

__all__ = ["Images", "follow", "postgres_as_26"]

_MOST_LINKS = 100


class Images:
    """Image references, and the folders that are their content, the topmost layer first."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Path, ...]] = {}

    def register(self, reference: str, *layers: Path) -> None:
        """From now on `reference` is `layers`, the first one on top; no path may have ``:``, ``,`` or a backslash."""
        if any(set(":,\\") & set(str(layer)) for layer in layers):
            raise ClusterError(f"an overlay cannot take such a path: {layers}")
        self._known[reference] = layers

    def layers(self, reference: str) -> tuple[Path, ...]:
        """The content of `reference`.

        Raises:
            ClusterError: nobody has registered it.
        """
        try:
            return self._known[reference]
        except KeyError:
            raise ClusterError(f"no content for image {reference}") from None


def postgres_as_26(root: Path, folder: Path) -> Path:
    """A layer for above the Debian root `root` in which postgres is 26:26, as in CloudNativePG's own images."""
    (folder / "etc").mkdir(parents=True)
    for name, columns in (("passwd", (2, 3)), ("group", (2,))):
        lines = []
        for line in (root / "etc" / name).read_text().splitlines():
            fields = line.split(":")
            if fields[0] == "postgres":
                for column in columns:
                    fields[column] = "26"
            elif fields[2] == "26":
                continue
            lines.append(":".join(fields))
        (folder / "etc" / name).write_text("\n".join(lines) + "\n")
    return folder


def follow(layers: Sequence[Path], path: str) -> str:
    """`path` with the image's own symlinks followed inside the image: /var/run -> /run is not this machine's /run.

    Raises:
        ClusterError: they go round in a circle.
    """
    done, waiting = Path("/"), [part for part in path.split("/") if part]
    for _ in range(_MOST_LINKS):
        if not waiting:
            return str(done)
        part = waiting.pop(0)
        if part == "..":
            done = done.parent
            continue
        step = done / part
        link = _first_link(layers, step)
        if link is None:
            done = step
            continue
        done = Path("/") if link.startswith("/") else done
        waiting = [each for each in link.split("/") if each not in ("", ".")] + waiting
    raise ClusterError(f"too many symlinks in {path}")


def _first_link(layers: Sequence[Path], step: Path) -> str | None:
    """Where `step` leads to in the topmost layer that has it, if it is a symlink there."""
    for layer in layers:
        here = layer / step.relative_to("/")
        if here.is_symlink():
            return str(here.readlink())
        if here.exists():
            return None
    return None
