"""The page about connecting from Python says what is so: its code runs, its table is the code's."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgbearer import client, errors
from tests.fake_postgres import FakePostgres

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path_factory.mktemp("s")
    service = folder / "pg_service.conf"
    service.write_text(f"[appdb]\nhost={folder}\nuser=app\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    monkeypatch.setattr(client.PersonSource, "token", lambda _self: client.AccessToken("from-device"))
    with FakePostgres(folder / ".s.PGSQL.5432", issuer="https://sso.example.org/realms/corp") as serving:
        yield serving


async def test_every_block_runs(server: FakePostgres, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"token": "in-hand"}
    for block in BLOCKS:
        exec(block, names)  # noqa: S102  our own page
    assert await names["main"](["one", "two"]) == ["app", "app"]
    assert capsys.readouterr().out == "app\napp\napp\n"
    assert sorted(server.tokens) == ["from-device", "in-hand", "in-hand", "one", "two"]


def test_the_errors_are_what_the_table_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`([\w.]+)`)? ?\|", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for name, base in rows:
        error = getattr(client, name, None) or getattr(errors, name)
        kind = {"": errors.PgbearerError, "psycopg.OperationalError": psycopg.OperationalError}.get(base)
        assert issubclass(error, kind or getattr(errors, base))
