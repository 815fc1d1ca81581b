"""Django on real PostgreSQL, module and service, in a process of its own, across the end of its tokens."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgbearer.client import AccessToken
from tests.integration.fix_chain import Chain
from tests.integration.fix_short_tokens import PATIENCE, FreshTokens, at, await_end_of

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
PROGRAM = Path(__file__).with_name("django_program.py")
SAID = list[list[str]]
Play = Callable[..., SAID]


@pytest.fixture
def play(short_chain: Chain, short_tokens: FreshTokens, tmp_path: Path) -> Iterator[Play]:
    """Run the program and answer what it asks; returns all that it said."""
    server = short_chain.server
    server.sql("GRANT CREATE ON SCHEMA public TO app_readonly", "appdb")

    def run(what: str, role: str = "app_readonly", **settings: Any) -> SAID:
        where = {"NAME": "appdb", "USER": role, "HOST": str(server.folder), "PORT": str(server.port)}
        database = {"ENGINE": "pgbearer.client.django", **where, **settings}
        command = [sys.executable, "-W", "error", str(PROGRAM)]
        words = [*command, json.dumps(database), short_tokens.issuer, str(tmp_path), what]
        pipe = subprocess.PIPE
        with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as program:
            assert program.stdin
            assert program.stdout
            assert program.stderr
            said = []
            for line in program.stdout:
                said.append(line.split(maxsplit=1 if line.startswith("refused") else -1))
                print(_answer(said[-1], short_chain, short_tokens), file=program.stdin, flush=True)
            errors = program.stderr.read()
            assert program.wait(PATIENCE) == 0, errors
        assert not any(part in errors for token in short_tokens.given for part in token.split("."))
        return said

    yield run
    server.sql("DROP OWNED BY app_readonly", "appdb")


def _answer(asked: list[str], chain: Chain, tokens: FreshTokens) -> str:
    match asked:
        case ["token"]:
            return tokens.token().reveal()
        case ["ended", pid]:
            await_end_of(chain, {int(pid)})
    return "go on"


def told(said: SAID, word: str) -> SAID:
    return [line[1:] for line in said if line[0] == word]


@pytest.mark.parametrize(
    "settings",
    [
        {"CONN_MAX_AGE": None},
        {"CONN_MAX_AGE": 0},
        {"OPTIONS": {"pool": True}},
        {"OPTIONS": {"pool": {"min_size": 2, "max_size": 2}}, "CONN_HEALTH_CHECKS": True},
    ],
    ids=["persistent", "one a request", "pool", "checked pool"],
)
def test_requests_go_on_across_the_end_of_a_session(play: Play, settings: dict[str, Any]) -> None:
    said = play("across_the_end", **settings)
    assert told(said, "orders") == [["order", "1"], ["order", "1", "order", "2"]]
    first, second = told(said, "ended")
    assert first != second


def test_the_documented_settings(
    play: Play, short_chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(DATABASES = .*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"source": None}
    exec(block, names)  # noqa: S102  our own page
    documented = names["DATABASES"]["default"]
    service = tmp_path / "pg_service.conf"
    service.write_text("[appdb]\n" + at(short_chain).replace(" ", "\n") + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    said = play("across_the_end", **dict.fromkeys(("NAME", "USER", "HOST", "PORT"), ""), **documented)
    assert told(said, "orders")[1] == ["order", "1", "order", "2"]


def test_a_profile_by_its_name(play: Play, short_chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(short_chain.issuer.token())
    (tmp_path / "token").chmod(0o600)
    file = tmp_path / "client.toml"
    file.write_text(
        f'[profiles.job]\nissuer = "{short_chain.issuer.url}"\nsource = {{ kind = "file", path = "token" }}\n'
    )
    monkeypatch.setenv("PGBEARER_CONFIG_FILE", str(file))
    assert told(play("once", OPTIONS={"profile": "job"}), "orders") == [["order", "1"]]


def test_no_source_is_said_at_once(play: Play) -> None:
    with pytest.raises(
        AssertionError, match=r'ImproperlyConfigured: .*"OPTIONS"\] needs a "source" of tokens, or a "profile"'
    ):
        play("without_source")


def test_a_refusal_says_what_the_client_knows(play: Play, short_tokens: FreshTokens) -> None:
    ((said,),) = told(play("refused", role="app_readwrite"), "refused")
    assert f"pgbearer explain --token-ref {AccessToken(short_tokens.given[0]).ref}" in json.loads(said)
