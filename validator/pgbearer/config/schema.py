"""The JSON Schemas of pgbearer.yaml and of files in ``policy.d``, for editors; descriptions are the docstrings."""

from typing import Any

from pgbearer.config.reference import duration_text
from pgbearer.config.rules import PolicyFile
from pgbearer.config.section import Section
from pgbearer.config.settings import Settings

__all__ = ["json_schema"]


def json_schema(kind: type[Section] = Settings) -> dict[str, Any]:
    """The schema (draft 2020-12). It says what is *shaped* right; ``pgbearer config check`` says the rest.

    Args:
        kind: of file: `Settings` (pgbearer.yaml) or `PolicyFile` (in ``policy.d``).
    """
    schema = kind.model_json_schema(by_alias=True)
    title = "A file in policy.d, version 1" if kind is PolicyFile else "pgbearer.yaml, version 1"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    _tidy(schema)
    return {**schema, **head}


def _tidy(node: Any) -> None:
    """Defaults as they would be written; none where they only repeat those of a section."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    if not isinstance(node, dict):
        return
    for value in node.values():
        _tidy(value)
    if isinstance(node.get("description"), str):
        node["description"] = " ".join(node["description"].split())
    if "default" in node:
        if "$ref" in node:
            del node["default"]
        elif node.get("type") == "string" and isinstance(node["default"], int):
            node["default"] = duration_text(node["default"])
