"""From what a profile says to the source that does it: every kind, and what excludes or needs each other."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pgbearer.client import CommandSource, FileSource, KubernetesSource, SpiffeSource, TokenSource
from pgbearer.client.sources.build import source_of
from pgbearer.client.sources.client_credentials import ClientCredentialsSource
from pgbearer.client.sources.exchange import ExchangeSource
from pgbearer.client.sources.settings import SourceSettings
from pgbearer.errors import UsageError

ISSUER = "https://sso.test/realms/corp"
CLIENT = {"kind": "client-credentials", "client_id": "billing"}


def build(issuer: str | None = ISSUER, **said: Any) -> TokenSource:
    settings: Any = msgspec.convert(said, SourceSettings)
    return source_of(settings, issuer=issuer, folder=Path("/etc/pgbearer"))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"kind": "file", "path": "token"}, FileSource),
        ({"kind": "command", "command": ["print-token"]}, CommandSource),
        ({"kind": "kubernetes"}, KubernetesSource),
        ({"kind": "kubernetes", "exchange": True}, ClientCredentialsSource),
        ({"kind": "kubernetes", "exchange": True, "client_id": "billing"}, ClientCredentialsSource),
        ({"kind": "spiffe", "audience": "db:shop", "socket": "/run/agent.sock"}, SpiffeSource),
        (CLIENT | {"secret_file": "secret"}, ClientCredentialsSource),
        (CLIENT | {"key_file": "key", "key_id": "k1", "algorithm": "PS256"}, ClientCredentialsSource),
        (CLIENT | {"certificate_file": "crt", "certificate_key_file": "key"}, ClientCredentialsSource),
        (
            {"kind": "exchange", "client_id": "tools", "secret_file": "s", "subject_token_file": "t", "audience": "db"},
            ExchangeSource,
        ),
    ],
)
def test_every_kind(said: dict[str, Any], kind: type) -> None:
    source = build(**said)
    assert type(source) is kind
    assert source.issuer == ISSUER


def test_places_begin_in_the_folder_of_the_file_that_says_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    for written, place in (("token", "/etc/pgbearer/token"), ("/t", "/t"), ("~/t", "/home/alice/t")):
        with pytest.raises(UsageError, match="cannot be read") as caught:
            build(kind="file", path=written).token()
        assert caught.value.where == place


def test_a_program_with_a_path_is_that_of_the_file_that_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one of the folder where somebody stands, which may be anybody's."""
    monkeypatch.setenv("HOME", "/nowhere/alice")
    for written, place in (("./print", "/etc/pgbearer/print"), ("~/print", "/nowhere/alice/print"), ("/p/q", "/p/q")):
        with pytest.raises(UsageError, match="cannot be run: No such file") as caught:
            build(kind="command", command=[written, "./print"]).token()
        assert caught.value.where == place


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (CLIENT, "exactly one way"),
        (CLIENT | {"secret_file": "s", "key_file": "k"}, "exactly one way"),
        (CLIENT | {"secret_file": "s", "certificate_key_file": "k"}, "exactly one way"),
        (CLIENT | {"certificate_file": "c"}, "exactly one way"),
        (CLIENT | {"secret_file": "s", "key_id": "k1"}, "for key_file alone"),
        (CLIENT | {"secret_file": "s", "algorithm": "PS256"}, "for key_file alone"),
        ({"kind": "kubernetes", "client_id": "x"}, "exchange = true alone"),
        ({"kind": "login"}, "needs a person"),
    ],
)
def test_what_does_not_go_together(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        build(**said)
    assert caught.value.hint


@pytest.mark.parametrize("said", [CLIENT | {"secret_file": "s"}, {"kind": "kubernetes", "exchange": True}])
def test_who_asks_an_issuer_needs_one(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no issuer is given"):
        build(None, **said)
    with pytest.raises(UsageError, match="not an issuer"):
        build("http://sso.test", **said)
