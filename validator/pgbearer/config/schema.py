"""The JSON Schema of pgbearer.yaml, for editors; its descriptions are the docstrings of the settings."""

from typing import Any

from pgbearer.config.reference import duration_text
from pgbearer.config.settings import Settings

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). It says what is *shaped* right; ``pgbearer config check`` says the rest."""
    schema = Settings.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "pgbearer.yaml, version 1"}
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
