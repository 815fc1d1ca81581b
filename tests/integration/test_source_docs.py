"""The page about sources says what is so: each profile on it is read and built, its Python runs, no kind is missing."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from pgbearer import client
from pgbearer.client.profiles import load_client_file, source_of_profile
from pgbearer.client.sources.settings import SourceSettings
from tests.fake_postgres import FakePostgres

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
PROFILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
KINDS = {str(kind.__struct_config__.tag) for kind in get_args(SourceSettings)}
GIVES = {
    "nightly": client.ClientCredentialsSource,
    "reports": client.ClientCredentialsSource,
    "billing": client.ClientCredentialsSource,
    "orders": client.KubernetesSource,
    "shop": client.ClientCredentialsSource,
    "mesh": client.SpiffeSource,
    "tools": client.ExchangeSource,
    "helper": client.CommandSource,
    "sidecar": client.FileSource,
}


def test_every_profile_gives_its_source(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.touch(0o600)
    file.write_text("\n".join(PROFILES))
    read = load_client_file({"PGBEARER_CONFIG_FILE": str(file)})
    built = {name: source_of_profile(profile, folder=tmp_path) for name, profile in read.profiles.items()}
    assert {name: type(source) for name, source in built.items()} == GIVES
    assert all(source.issuer == read.profiles[name].issuer for name, source in built.items())
    used = {str(profile.source.__struct_config__.tag) for profile in read.profiles.values()}
    assert used | {"login"} == KINDS


def test_the_table_names_every_kind() -> None:
    assert set(re.findall(r"^\| `([\w-]+)`", PAGE, re.MULTILINE)) == KINDS | {"kind"}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path_factory.mktemp("s")
    (folder / "pg_service.conf").write_text(f"[appdb]\nhost={folder}\nuser=app\n")
    monkeypatch.setenv("PGSERVICEFILE", str(folder / "pg_service.conf"))
    monkeypatch.setattr(client.ClientCredentialsSource, "token", lambda _self: client.AccessToken("a-services"))
    with FakePostgres(folder / ".s.PGSQL.5432", issuer="https://sso.example.org/realms/corp") as serving:
        yield serving


def test_the_python_runs(server: FakePostgres, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {})  # noqa: S102  our own page
    assert capsys.readouterr().out == "app\n"
    assert server.tokens == ["a-services"]
