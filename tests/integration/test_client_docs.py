"""The page about connecting from Python says what is so: its code runs, on a real server; its table is the code's."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgbearer import client, errors
from tests.integration.fix_chain import Chain
from tests.proxied import proxied

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ISSUER = "https://sso.example.org/realms/corp"
ROLE = "app_readonly"


@pytest.fixture
def names(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's reader has: a service ``appdb``, a token, and a person who has logged in."""
    service = tmp_path / "pg_service.conf"
    service.write_text(f"[appdb]\nhost={chain.server.folder}\nport={chain.server.port}\nuser={ROLE}\ndbname=appdb\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    profiles = tmp_path / "client.toml"
    profiles.write_text(f'[profiles.corp]\nissuer = "{chain.issuer.url}"\n')
    profiles.chmod(0o600)
    monkeypatch.setenv("PGBEARER_CONFIG_FILE", str(profiles))
    token = client.AccessToken(chain.issuer.token())

    async def token_async(_self: object) -> client.AccessToken:
        return token

    monkeypatch.setattr(client.PersonSource, "token", lambda _self: token)
    monkeypatch.setattr(client.PersonSource, "token_async", token_async)
    return {"token": token}


async def test_every_block_runs(chain: Chain, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for block in BLOCKS:
        exec(block.replace(ISSUER, chain.issuer.url), names)  # noqa: S102  our own page
    printed = capsys.readouterr().out.split()
    assert len(printed) == sum(block.count("print(") for block in BLOCKS)
    assert {re.sub(r"\W", "", line) for line in printed} == {ROLE}
    assert await names["main"]([chain.issuer.token(), chain.issuer.token()]) == [ROLE, ROLE]
    assert await names["ask"]() == (ROLE,)
    assert await names["ask_engine"]() == ROLE
    with names["engine"].connect() as again:
        again.connection.dbapi_connection.fresh_until = 0.0
    with names["engine"].connect() as fresh:
        assert fresh.connection.dbapi_connection.fresh_until > 0.0
    names["engine"].dispose()


async def test_the_block_for_asyncpg_runs_below_the_proxy(
    chain: Chain, names: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = (block for block in BLOCKS if "import asyncpg" in block)
    exec(block, names)  # noqa: S102  our own page
    upstream = f"host={chain.server.folder} port={chain.server.port}"
    source = client.StaticSource(names["token"])
    async with proxied(tmp_path_factory.mktemp("p"), upstream, source, issuer=chain.issuer.url) as proxy:
        where = {"PGHOST": str(proxy.folder), "PGPORT": "5432", "PGUSER": ROLE, "PGDATABASE": "appdb"}
        for name, value in where.items():
            monkeypatch.setenv(name, value)
        assert await names["report"]() == ROLE


def test_the_errors_are_what_the_table_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`([\w.]+)`)? ?\|", PAGE, re.MULTILINE)
    assert len(rows) == 7
    for name, base in rows:
        error = getattr(client, name, None) or getattr(errors, name)
        kind = {"": errors.PgbearerError, "psycopg.OperationalError": psycopg.OperationalError}.get(base)
        assert issubclass(error, kind or getattr(errors, base))
