"""What may stand in client.toml, and that everything which may not is said at once, with its path."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest

from pgbearer.client.profiles.build import _way_in
from pgbearer.client.profiles.decode import problems_in
from pgbearer.client.profiles.file import ClientFile, ProfilesError, _decode, client_file_path
from pgbearer.client.profiles.profile import Profile
from pgbearer.client.profiles.upstream import UpstreamSettings
from pgbearer.client.sources.settings import CommandSettings, LoginSettings
from pgbearer.client.store import StoreError, open_store
from pgbearer.errors import UsageError

PATH = Path("/home/alice/.config/pgbearer/client.toml")
GOOD = """
default = "corp"

[profiles.corp]
issuer = "https://sso.example.org/realms/corp"
scope = "openid db:demo"
store = "keyring-only"

[profiles.batch]
issuer = "https://sso.example.org/realms/jobs"
source = {kind = "command", command = ["/usr/bin/print-token"], timeout = 5}
"""


def decode(text: str) -> ClientFile:
    written = _decode(PATH, text.encode())
    return ClientFile(PATH, written.profiles, written.default, written.upstreams, written.peers)


def test_a_file() -> None:
    file = decode(GOOD)
    assert file.default == "corp"
    corp, batch = file.profile("corp"), file.profile("batch")
    assert (corp.scope, corp.store, corp.source) == ("openid db:demo", "keyring-only", LoginSettings())
    assert (corp.client_id, corp.device_client_id) == ("pgbearer-cli", "pgbearer-device")
    assert batch.source == CommandSettings(command=("/usr/bin/print-token",), timeout=5)
    assert batch.store == "auto"


def test_upstreams_and_peers() -> None:
    file = decode(GOOD + '[upstreams.appdb]\nconninfo = "service=appdb"\npin = []\n[peers]\n1001 = "batch"\n')
    assert file.upstreams == {"appdb": UpstreamSettings(conninfo="service=appdb", pin=())}
    assert file.peers == {"1001": "batch"}


def test_behind_another_issuer() -> None:
    file = decode(GOOD.replace("[profiles.batch]", '[profiles.batch]\nbehind = "https://sso.example.org/realms/corp"'))
    corp, batch = file.profile("corp"), file.profile("batch")
    assert (corp.behind, corp.server_issuer) == (None, corp.issuer)
    assert (batch.issuer, batch.server_issuer) == ("https://sso.example.org/realms/jobs", corp.issuer)
    assert file.named_for(batch.issuer) == "batch"
    assert file.named_for_servers_of(batch.issuer) is None
    assert file.named_for_servers_of(corp.issuer) == "corp"


def test_the_default_one_goes_before_others_for_the_same_servers() -> None:
    behind = 'behind = "https://sso.example.org"\n'
    text = f'[profiles.a]\n{ISSUER}[profiles.b]\nissuer = "https://b.test"\n{behind}'
    assert decode(text).named_for_servers_of("https://sso.example.org") == "a"
    assert decode(f'default = "b"\n{text}').named_for_servers_of("https://sso.example.org") == "b"


def test_an_empty_file_has_no_profiles() -> None:
    file = decode("")
    assert (file.default, dict(file.profiles)) == (None, {})
    with pytest.raises(UsageError, match="no profile is called 'corp'"):
        file.profile("corp")


ISSUER = 'issuer = "https://sso.example.org"\n'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("profiles = 7", ["profiles: expected `object`, got `int`"]),
        ("[profiles]\ncorp = 7", ["profiles.corp: must be a table"]),
        ("[profiles.corp]", ["profiles.corp.issuer: is missing"]),
        ("[profiles.corp]\nissuer = 7", ["profiles.corp.issuer: expected `str`, got `int`"]),
        ('[profiles.corp]\nissuer = "http://sso.example.org"', ["profiles.corp.issuer: not an issuer"]),
        (
            f'[profiles.corp]\n{ISSUER}scop = "x"\nstore = "keyring"\nca_file = ""',
            [
                'profiles.corp.scop: unknown key; did you mean "scope"?',
                "profiles.corp.ca_file: expected `str` of length >= 1",
                "profiles.corp.store: invalid enum value 'keyring'",
            ],
        ),
        (
            f'[profiles.corp]\n{ISSUER}source = {{kind = "comand"}}',
            ["profiles.corp.source.kind: must be one of login, client-credentials, kubernetes, spiffe"],
        ),
        (f"[profiles.corp]\n{ISSUER}source = {{}}", ["profiles.corp.source.kind: must be one of"]),
        (f"[profiles.corp]\n{ISSUER}source = 7", ["profiles.corp.source.kind: must be one of"]),
        (
            f'[profiles.corp]\n{ISSUER}source = {{kind = "command", command = [], timout = 1, timeout = 0}}',
            [
                'profiles.corp.source.timout: unknown key; did you mean "timeout"?',
                "profiles.corp.source.command: expected `array` of length >= 1",
                "profiles.corp.source.timeout: expected `float` > 0.0",
            ],
        ),
        (
            'default = "crop"\n[profiles.corp]\n' + ISSUER,
            ["default: no profile is called 'crop'; did you mean \"corp\"?"],
        ),
        ("defualt = 'x'", ['defualt: unknown key; did you mean "default"?']),
        (f'[profiles."a b"]\n{ISSUER}', ["profiles.a b: a name has letters"]),
        (f'[profiles."\\u001b[2J"]\n{ISSUER}', ["profiles.\\x1b[2J: a name has letters"]),
        (f'[profiles.corp]\n{ISSUER}behind = "http://sso"', ["profiles.corp.behind: not an issuer"]),
        ('[upstreams.appdb]\nconninfo = ""\nbehind = "sso"', ["upstreams.appdb.conninfo: expected `str` of length"]),
        ('[upstreams.appdb]\nconninfo = "host=db"\nbehind = "sso"', ["upstreams.appdb.behind: not an issuer"]),
        ("= 7", ["not TOML"]),
        ("upstreams = 7", ["upstreams: expected `object`, got `int`"]),
        ("[upstreams.appdb]", ["upstreams.appdb.conninfo: is missing"]),
        (
            '[upstreams.appdb]\nconninfo = "host=db"\nprofile = "corp"\npin = ["role"]\nbehnd = "x"',
            [
                'upstreams.appdb.behnd: unknown key; did you mean "behind"?',
                "upstreams.appdb.pin: invalid enum value 'role'",
                "upstreams.appdb.profile: no profile is called 'corp'",
            ],
        ),
        ('[upstreams."a/../b"]\nconninfo = "host=db"', ["upstreams.a/../b: a name has letters"]),
        ('[upstreams.".."]\nconninfo = "host=db"', ["upstreams...: a name has letters"]),
        (f'[peers]\nalice = "crop"\n[profiles.corp]\n{ISSUER}', ["peers.alice: no profile is called 'crop'; did"]),
        ("[peers]\nalice = 7", ["peers.alice: expected `str`, got `int`"]),
    ],
)
def test_every_problem_is_said_with_its_path(text: str, problems: list[str]) -> None:
    with pytest.raises(ProfilesError) as caught:
        decode(text)
    assert len(caught.value.problems) == len(problems)
    for said, expected in zip(caught.value.problems, problems, strict=True):
        assert said.startswith(expected)
    assert caught.value.exit_code == 2
    assert str(PATH) in str(caught.value)


def test_bytes_that_are_no_text_are_not_toml() -> None:
    with pytest.raises(ProfilesError, match="not TOML"):
        _decode(PATH, b"\xff")


def test_a_hostile_file_is_refused_in_a_few_lines() -> None:
    many = "".join(f"[profiles.p{number}]\nissuer = 7\n" for number in range(2_000))
    with pytest.raises(ProfilesError) as caught:
        decode(many)
    assert len(caught.value.problems) == 101


def test_what_is_found_is_what_msgspec_would_refuse() -> None:
    assert problems_in(tomllib.loads(GOOD)["profiles"]["corp"], Profile) == []


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("https://sso.example.org/realms/corp", "corp"),
        ("https://sso.example.org/realms/jobs", "batch"),
        ("https://sso.example.org/realms/corp/", None),
    ],
)
def test_a_profile_is_found_by_its_issuer(issuer: str, name: str | None) -> None:
    assert decode(GOOD).named_for(issuer) == name


def test_a_profile_of_a_file_without_profiles_can_be_written() -> None:
    with pytest.raises(UsageError, match=r"Write \[profiles.corp\] there, or give --issuer URL") as caught:
        ClientFile(PATH, {}).profile("corp")
    assert str(PATH) in str(caught.value)


def test_the_default_one_goes_before_others_of_its_issuer() -> None:
    text = f'default = "b"\n[profiles.a]\n{ISSUER}[profiles.b]\n{ISSUER}[profiles.c]\n{ISSUER}'
    assert decode(text).named_for("https://sso.example.org") == "b"


def test_where_the_file_is() -> None:
    assert client_file_path({"PGBEARER_CONFIG_FILE": "/etc/pgbearer/client.toml"}) == Path("/etc/pgbearer/client.toml")
    assert client_file_path({}).name == "client.toml"
    assert client_file_path({}).parent.name == "pgbearer"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(name: str) -> Path:
        raise RuntimeError(name)

    monkeypatch.setattr(platformdirs, "user_config_path", homeless)
    monkeypatch.setattr(platformdirs, "user_state_path", homeless)
    with pytest.raises(UsageError, match="Set HOME, or PGBEARER_CONFIG_FILE"):
        client_file_path({})
    assert client_file_path({"PGBEARER_CONFIG_FILE": "/etc/client.toml"}) == Path("/etc/client.toml")
    with pytest.raises(StoreError, match="Set HOME or XDG_STATE_HOME"):
        open_store("file")


PAGE = (Path(__file__).parents[2] / "docs" / "client-profiles.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_page_shows_what_may_stand_in_the_file(block: str) -> None:
    assert decode(block).profiles


def test_the_page_names_every_key() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert named == [field.name for kind in (Profile, UpstreamSettings) for field in msgspec.structs.fields(kind)]


def test_the_problems_on_the_page_are_those_that_are_said() -> None:
    with pytest.raises(ProfilesError) as caught:
        decode('[profiles.corp]\nisuer = "https://sso.example.org/realms/corp"\n')
    assert f"pgbearer: {caught.value.diagnostics()}\n" in PAGE


@pytest.mark.parametrize(
    ("said", "name", "command"),
    [
        ({}, None, "pgbearer login --issuer https://sso.example.org"),
        ({}, "corp", "pgbearer login --profile corp"),
        (
            {"scope": "openid db:demo", "ca_file": "a b", "client_id": "us", "device_client_id": "us"},
            None,
            "pgbearer login --issuer https://sso.example.org --scope 'openid db:demo' --ca-file 'a b' --client-id us",
        ),
    ],
)
def test_who_is_not_logged_in_is_told_the_login_that_is_looked_for(
    said: dict[str, Any], name: str | None, command: str
) -> None:
    assert _way_in(Profile(issuer="https://sso.example.org", **said), name) == command
