"""Values as YAML that every reader understands in the same way, and people can read."""

from typing import Any

import yaml

from pgbearer.config.yaml_file import is_text

__all__ = ["written"]


def written(value: Any) -> str:
    """The text of `value`, in which all is quoted that some reader takes for a number, a date or a truth.

    Text of several lines stands there line by line; what a line of it cannot hold is escaped.
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=1000)


class _Dumper(yaml.SafeDumper):
    """PyYAML quotes what it would read as something else itself, by YAML 1.1: not ``1e5``, ``0123456789`` or ``y``."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """Several lines stay lines, for people read and compare them; PyYAML quotes those that cannot."""
    style = "|" if "\n" in value else None if is_text(value) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
