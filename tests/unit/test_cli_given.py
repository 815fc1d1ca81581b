"""What --token-file and --token-command come to: what they exclude, whose token it is, and which profile counts."""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pgbearer.cli import asking
from pgbearer.cli.given import Given
from pgbearer.client import AccessToken, ClientFile, OAuthSettings, Profile
from pgbearer.client.sources.settings import FileSettings
from pgbearer.errors import UsageError
from tests.issuer import Mint
from tests.unit.test_cli import end

OURS, OTHER, THIRD = (f"https://{name}.test" for name in ("ours", "other", "third"))
PROFILES = {
    "ours": Profile(issuer=OURS),
    "other": Profile(issuer=OTHER),
    "pod": Profile(issuer="https://cluster.test", behind=THIRD),
}


class Counted:
    """A source that counts how often it is asked."""

    issuer = None

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked = 0

    def token(self) -> AccessToken:
        self.asked += 1
        return AccessToken(self.text)

    async def token_async(self) -> AccessToken:
        return self.token()


def of(issuer: str) -> Counted:
    return Counted(Mint(issuer).token())


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the options come to, beside a client.toml whose default profile is ``ours``."""

    def ask(
        source: Counted,
        profile: str | None = None,
        issuer: str | None = None,
        *,
        hint: str | None = None,
        default: str | None = "ours",
    ) -> asking.Asked:
        file = ClientFile(Path("/etc/client.toml"), MappingProxyType(PROFILES), default)
        monkeypatch.setattr("pgbearer.client.load_client_file", lambda: file)
        given = Given(FileSettings(path="/t"), source, "--token-file")
        named = OAuthSettings(hint, None, None)
        asked = asking.ask(profile, issuer, None, None, None, named=named, given=given)
        assert asked.source() is source
        assert not asked.profile.source.interactive
        return asked

    return ask


@pytest.mark.parametrize(
    ("token", "how", "name", "issuer"),
    [
        (OTHER, {}, "other", OTHER),
        (THIRD, {}, None, THIRD),
        (OURS, {"default": None}, "ours", OURS),
        (OTHER, {"profile": "ours"}, "ours", OURS),
        (OTHER, {"issuer": OURS}, "ours", OURS),
        (OTHER, {"issuer": THIRD}, None, THIRD),
        (OTHER, {"hint": OURS}, "ours", OURS),
        (OTHER, {"hint": THIRD}, "pod", "https://cluster.test"),
        (OTHER, {"hint": "https://fourth.test"}, None, "https://fourth.test"),
    ],
)
def test_who_names_the_issuer(ask: Any, token: str, how: dict[str, Any], name: str | None, issuer: str) -> None:
    asked = ask(source := of(token), **how)
    assert (asked.name, asked.profile.issuer) == (name, issuer)
    assert source.asked == (0 if how.keys() - {"default"} else 1), "read only where nobody else says it"


def test_where_one_issuers_tokens_may_go_says_nothing_of_anothers(ask: Any) -> None:
    assert ask(of(OTHER), profile="pod").profile.server_issuer == THIRD
    assert ask(of(OTHER), profile="pod", issuer=OTHER).profile.server_issuer == OTHER


def test_a_token_that_says_no_issuer_is_the_default_profiles(ask: Any) -> None:
    assert ask(Counted("opaque")).name == "ours"


def test_nobody_says_an_issuer(ask: Any) -> None:
    with pytest.raises(UsageError, match="no issuer is given, and the token names none") as caught:
        ask(Counted("opaque"), default=None)
    assert "--issuer" in (caught.value.hint or "")
    assert "opaque" not in str(caught.value)


@pytest.mark.parametrize("command", ["token", "connect", "psql", "run", "proxy"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--token-file", "t", "--token-command", "x"], "--token-file and --token-command exclude each other"),
        (["--token-file", "t", "--device"], "--device is for a person's login, and --token-file asks nobody"),
        (["--token-file", "t", "--qr"], "--qr is for a person's login"),
        (["--token-command", "x", "--no-browser"], "--no-browser is for a person's login, and --token-command asks"),
        (["--token-command", "x", "--client-id", "cli"], "--client-id is for a person's login"),
        (["--token-file", "t", "--scope", "openid"], "--scope is for a person's login"),
        (["--token-command", ""], "--token-command names no program"),
        (["--token-command", "print 'a"], "--token-command: no closing quotation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_go_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, words: list[str], said: str
) -> None:
    rest = {"psql": ["--psql", "true"], "run": ["host=/s", "--", "true"], "proxy": ["host=/s"]}.get(command, [])
    assert end(monkeypatch, command, *words, *rest) == 2
    assert f"pgbearer: {said}" in capsys.readouterr().err


def test_what_the_environment_says_of_logins_may_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGBEARER_SCOPE", "openid")
    monkeypatch.setenv("PGBEARER_CLIENT_ID", "cli")
    assert end(monkeypatch, "token", "--token-file", "/nowhere/t") == 2
    assert capsys.readouterr().err.startswith("pgbearer: /nowhere/t: cannot be read")


def test_one_token_is_not_for_several_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(monkeypatch, "proxy", "--peers", "--token-file", "t", "host=/s") == 2
    assert "--token-file is one token for all, and --peers gives each their own" in capsys.readouterr().err
