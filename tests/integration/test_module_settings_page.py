"""The page of settings says what the server itself says of them."""

import importlib.util
from pathlib import Path

from tests.integration.fix_postgres import BearerServer

_GENERATOR = Path(__file__).parents[2] / "docs" / "generate.py"


def test_page_lists_every_setting_with_its_default(bearer: BearerServer) -> None:
    spec = importlib.util.spec_from_file_location("generate", _GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    told = {(name.strip("`"), default.strip("`")) for name, _, default, _ in generate.module_settings()}
    server = bearer.sql(
        "SELECT name || '|' || boot_val || coalesce(unit, '') FROM pg_settings WHERE name LIKE 'pgbearer.%'"
    )
    assert told == {(name, value) for name, _, value in (line.partition("|") for line in server.splitlines())}
