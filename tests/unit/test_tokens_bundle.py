"""Bundles of trust domains: from a file, an endpoint or the Workload API, and what is none."""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.config.workloads import Spiffe
from pgbearer.errors import MissingExtraError, UnreachableError
from pgbearer.http import Reply
from pgbearer.tokens.bundle import LocalBundles, keys_in_bundle
from pgbearer.tokens.discovery import Getter
from pgbearer.tokens.sources import open_source
from tests.issuer import ABSENT, Mint, SigningKey

SOCKET = Path("/run/spire/agent.sock")


class Api:
    """Holds bundles, as the Workload API does."""

    def __init__(self, **bundles: bytes) -> None:
        self.bundles = {f"spiffe://{name}.example": bundle for name, bundle in bundles.items()}

    async def jwt_bundles(self) -> Mapping[str, bytes]:
        return self.bundles


class Endpoint:
    """Answers every address with one reply."""

    def __init__(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.reply = Reply(status, {"content-type": kind}, body)

    async def get(self, url: str) -> Reply:
        assert url == "https://spire.prod.example"
        return self.reply

    async def aclose(self) -> None:
        """Nothing is open."""


def issuer(**where: Any) -> Issuer:
    return Issuer(
        profile="spiffe", issuer="spiffe://prod.example", audience="db:a", identity="{sub}", spiffe=Spiffe(**where)
    )


def bundle(*keys: SigningKey, **changes: Any) -> bytes:
    return json.dumps({"keys": [key.jwk(**{"use": "jwt-svid", "alg": ABSENT, **changes}) for key in keys]}).encode()


async def kids(settings: Issuer, getter: Getter) -> set[str]:
    return {*(await keys_in_bundle(settings, getter)).usable}


ONE, TWO = SigningKey("one", "ES256"), SigningKey("two", "ES256", 2)
FROM_API = issuer(workload_api=SOCKET)
FROM_ENDPOINT = issuer(bundle_url="https://spire.prod.example")


def api(**bundles: bytes) -> LocalBundles:
    assert FROM_API.spiffe is not None
    return LocalBundles(FROM_API.spiffe, Api(**bundles))


async def test_every_key_of_the_trust_domain_is_taken() -> None:
    """Those of nested servers stand beside the one above."""
    assert await kids(FROM_API, api(prod=bundle(ONE, TWO))) == {"one", "two"}
    assert await kids(FROM_ENDPOINT, Endpoint(bundle(ONE, TWO))) == {"one", "two"}


async def test_no_key_of_another_trust_domain_is_taken() -> None:
    assert await kids(FROM_API, api(partner=bundle(TWO), prod=bundle(ONE))) == {"one"}
    with pytest.raises(UnreachableError, match="no bundle of this trust domain"):
        await kids(FROM_API, api(partner=bundle(TWO)))


@pytest.mark.parametrize(("use", "from_api"), [(ABSENT, True), ("x509-svid", False), ("sig", False), ("", False)])
async def test_what_a_key_is_for(use: Any, from_api: bool) -> None:
    """The Workload API gives none but for JWT-SVIDs, so only there it need not be said."""
    assert bool(await kids(FROM_API, api(prod=bundle(ONE, use=use)))) is from_api
    assert not await kids(FROM_ENDPOINT, Endpoint(bundle(ONE, use=use)))


NO_BUNDLES = (b"", b"[]", b"null", b"{}", b'{"keys": {}}', b'{"keys": [], "keys": []}', b"<html>", b'{"keys": [1]}')


@pytest.mark.parametrize("content", NO_BUNDLES)
async def test_what_is_no_bundle(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_bytes(content)
    settings = issuer(bundle_file=file)
    for where, getter in (
        (settings, open_source(settings, lambda _ca: Endpoint(b""))[0]),
        (FROM_API, api(prod=content)),
        (FROM_ENDPOINT, Endpoint(content)),
    ):
        with pytest.raises(UnreachableError):
            await kids(where, getter)


@pytest.mark.parametrize("reply", [Endpoint(bundle(ONE), "text/html"), Endpoint(bundle(ONE), status=404)])
async def test_an_endpoint_that_answers_otherwise(reply: Endpoint) -> None:
    with pytest.raises(UnreachableError):
        await kids(FROM_ENDPOINT, reply)


async def test_a_file_is_read_anew_and_only_if_nobody_else_can_write_it(tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    settings = issuer(bundle_file=file)
    getter = open_source(settings, lambda _ca: Endpoint(b""))[0]
    with pytest.raises(UnreachableError, match="cannot be read"):
        await kids(settings, getter)
    file.write_bytes(bundle(ONE))
    file.chmod(0o644)
    assert await kids(settings, getter) == {"one"}
    file.write_bytes(bundle(TWO))
    assert await kids(settings, getter) == {"two"}
    file.chmod(0o666)
    with pytest.raises(UnreachableError, match="not trusted"):
        await kids(settings, getter)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"extra \[spiffe\]"):
        open_source(FROM_API, lambda _ca: Endpoint(b""))


def test_a_mint_can_be_a_trust_domain() -> None:
    assert [key["use"] for key in Mint().bundle()["keys"]] == ["jwt-svid"]
