"""A profile's source by its name alone, from a client.toml that the test writes."""

from pathlib import Path

import pytest

from pgbearer.client import PersonSource, profile_arguments, profile_source
from pgbearer.errors import UsageError

PROFILES = """
[profiles.one]
issuer = "https://one.test"
source = { kind = "file", path = "token" }

[profiles.two]
issuer = "https://two.test"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    write(tmp_path, PROFILES)
    (tmp_path / "token").write_text("of-one")
    (tmp_path / "token").chmod(0o600)
    return {"PGBEARER_CONFIG_FILE": str(tmp_path / "client.toml")}


def write(folder: Path, text: str) -> None:
    (folder / "client.toml").write_text(text)
    (folder / "client.toml").chmod(0o600)


def test_by_its_name_with_paths_from_the_files_folder(environ: dict[str, str]) -> None:
    source = profile_source("one", environ=environ)
    assert (source.issuer, source.token().reveal()) == ("https://one.test", "of-one")


def test_with_what_connect_must_know_beside_it(environ: dict[str, str], tmp_path: Path) -> None:
    said = profile_arguments("one", environ=environ)
    assert (said["source"].token().reveal(), said["behind"]) == ("of-one", None)
    write(tmp_path, PROFILES.replace("[profiles.two]", 'behind = "https://two.test"\n[profiles.two]'))
    said = profile_arguments("one", environ=environ)
    assert (said["source"].issuer, said["behind"]) == ("https://one.test", "https://two.test")


def test_a_persons(environ: dict[str, str]) -> None:
    assert isinstance(profile_source("two", environ=environ), PersonSource)


def test_by_the_environment_and_a_name_goes_before_it(environ: dict[str, str]) -> None:
    environ["PGBEARER_PROFILE"] = "two"
    assert profile_source(environ=environ).issuer == "https://two.test"
    assert profile_source("one", environ=environ).issuer == "https://one.test"


def test_by_the_files_default(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, f'default = "two"\n{PROFILES}')
    assert profile_source(environ=environ).issuer == "https://two.test"


def test_none_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no profile is named") as caught:
        profile_source(environ=environ)
    assert "PGBEARER_PROFILE" in str(caught.value)


def test_none_is_called_so(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no profile is called 'on'"):
        profile_source("on", environ=environ)
