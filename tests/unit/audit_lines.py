"""What stands in an audit file."""

import json
from pathlib import Path
from typing import Any

from pgbearer.audit import verify_chain


def entries(audit_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit_file.read_bytes().splitlines()]


def holds(*paths: Path) -> bool:
    lines = [line for audit_file in paths for line in audit_file.read_bytes().splitlines(keepends=True)]
    return not list(verify_chain(lines))
