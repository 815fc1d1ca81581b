"""An API server that is asked for a token review, and every way not to answer it: none is a yes."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.settings import Issuer as IssuerSettings
from pgbearer.tokens import Denied, KeySet, api_server
from pgbearer.tokens.api_server import ApiServer
from pgbearer.tokens.sources import source_of
from pgbearer.wire import Reason
from tests.issuer import AUDIENCE, Issuer
from tests.parts.authority import Authority
from tests.unit.logins import verified

ORDERS = "system:serviceaccount:shop:orders"
YES = {"authenticated": True, "user": {"username": ORDERS}, "audiences": [AUDIENCE]}
TOKEN = "e30.e30.c2lnbmF0dXJl"


class Cluster(Issuer):
    """Answers every review with yes, until it is told otherwise; its keys are where an API server has them."""

    def answer(self, path: str) -> Any:
        """What stands at the root of an API server stands below the issuer of a realm."""
        moved = {"/.well-known/openid-configuration": self.well_known, "/openid/v1/jwks": self.jwks_uri}
        return super().answer(moved.get(path, path).removeprefix(f"https://127.0.0.1:{self.port}"))

    def answer_form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        del fields  # JSON, whatever a parser of forms makes of it
        if path == "/apis/authentication.k8s.io/v1/tokenreviews":
            return 201, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": YES}
        return None


@pytest.fixture
def cluster(issuer_authority: Authority) -> Iterator[Cluster]:
    """One that says yes."""
    with Cluster(issuer_authority) as serving:
        yield serving


def settings(cluster: Cluster, **kubernetes: Any) -> IssuerSettings:
    told = {"api_server": f"https://127.0.0.1:{cluster.port}", "review": "always", **kubernetes}
    given = {"profile": "kubernetes", "issuer": cluster.url, "audience": AUDIENCE, "identity": "{sub}"}
    return IssuerSettings.model_validate({**given, "ca_file": cluster.ca_file, "kubernetes": told}, strict=False)


async def review(issuer: IssuerSettings) -> Reason:
    server = ApiServer(issuer)
    try:
        await server.confirm(TOKEN, verified(subject=ORDERS))
    except Denied as denied:
        return Reason.INTERNAL_ERROR if any(part in denied.detail for part in TOKEN.split(".")) else denied.reason
    finally:
        await server.aclose()
    return Reason.ALLOWED


async def test_yes(cluster: Cluster) -> None:
    assert await review(settings(cluster)) is Reason.ALLOWED


def answering(code: int) -> Callable[[Cluster], None]:
    """Say yes with another status."""
    return lambda cluster: cluster.status(code)


FAULTS: dict[str, Callable[[Cluster], None]] = {
    "down": lambda cluster: cluster.down(),
    "hung": lambda cluster: cluster.hang(),
    "trickling": lambda cluster: cluster.trickle(),
    "cut": lambda cluster: cluster.cut(),
    "redirect": lambda cluster: cluster.redirect(),
    "redirect that keeps the token": lambda cluster: cluster.redirect(code=307),
    "html": lambda cluster: cluster.html(),
    "too large": lambda cluster: cluster.huge_body(),
    "compressed": lambda cluster: cluster.encoded("gzip"),
    "a bomb": lambda cluster: cluster.gzip_bomb(),
    "nothing": lambda cluster: cluster.body(b""),
    **{str(code): answering(code) for code in (202, 400, 401, 403, 404, 429, 500, 503)},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_fault(fault: Callable[[Cluster], None], cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "REVIEW_SECONDS", 0.5)
    fault(cluster)
    assert await review(settings(cluster)) is Reason.ISSUER_UNAVAILABLE
    cluster.mend()
    assert await review(settings(cluster)) is Reason.ALLOWED


async def test_a_server_of_another_authority_is_told_nothing(cluster: Cluster, tmp_path: Path) -> None:
    other = settings(cluster).model_copy(update={"ca_file": Authority(tmp_path).ca_file})
    assert await review(other) is Reason.ISSUER_UNAVAILABLE
    assert not cluster.requests


async def test_keys_are_taken_of_the_server_that_names_the_issuer(cluster: Cluster) -> None:
    """Its metadata is looked at although its address is in the settings: a wrong address must not go unnoticed."""
    cluster.keys_elsewhere("https://10.96.0.1/openid/v1/jwks")  # what it advertises need not be what we reach
    issuer = settings(cluster)
    keys = KeySet("cluster", issuer, ApiServer(issuer))
    await keys.refresh()
    assert keys.status().keys == ("key-1",)
    cluster.wrong_issuer()
    await keys.refresh()
    assert "names another issuer" in str(keys.status().last_error)
    await keys.aclose()


@pytest.mark.parametrize(
    "changes", [{"api_server": "https://10.0.0.1"}, {"token_file": "/run/token"}, {"review": "never"}]
)
def test_keys_of_another_place_are_not_taken_over(changes: dict[str, Any], cluster: Cluster) -> None:
    assert source_of(settings(cluster, **changes)) != source_of(settings(cluster))
