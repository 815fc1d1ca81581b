"""What decides who gets into one server, whether it is written in a manifest or in force already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgbearer.config import KeyPath
from pgbearer.hba import Line

__all__ = ["Force", "Placed", "libraries"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A line of pg_hba.conf, and where it was written; the operator's own stand nowhere."""

    line: Line
    path: KeyPath | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """Lines in the order in which PostgreSQL asks them, and the settings beside them."""

    lines: Sequence[Placed]
    lines_path: KeyPath
    """Where lines are written, to say that one is missing."""
    parameters: Mapping[str, str]
    parameters_path: KeyPath
    preloaded: Sequence[str]
    preload_path: KeyPath
    maps: frozenset[str] | None = None
    """The names of pg_ident's maps; None if they are not known."""
    endpoint_beside: bool = False
    """Whether something else may put the service beside the server."""
    roles_with_password: frozenset[str] = field(default_factory=frozenset)

    @property
    def written(self) -> Sequence[Placed]:
        """The lines that are not the operator's own."""
        return [placed for placed in self.lines if placed.path is not None]


def libraries(value: str) -> tuple[str, ...]:
    """A list of libraries as postgresql.conf has it, e.g. ``pgbearer, other``."""
    return tuple(name for part in value.split(",") if (name := part.strip().strip('"')))
