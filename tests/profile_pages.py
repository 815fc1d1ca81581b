"""What stands in docs/profiles, for the tests that run it."""

import re
from pathlib import Path
from typing import Any

import yaml

__all__ = ["block", "settings"]

_PAGES = Path(__file__).parents[1] / "docs" / "profiles"


def block(page: str, name: str) -> str:
    """The text of the fenced block called `name` on a page, e.g. ``pgbearer.yaml`` or ``rbac``."""
    (found,) = re.findall(rf"^```\w+ {re.escape(name)}\n(.*?)^```", (_PAGES / f"{page}.md").read_text(), re.M | re.S)
    return str(found)


def settings(page: str) -> dict[str, Any]:
    """The pgbearer.yaml of a page."""
    read: dict[str, Any] = yaml.safe_load(block(page, "pgbearer.yaml"))
    return read
