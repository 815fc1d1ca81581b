"""A device login at an issuer that answers badly: a clear error, nothing leaked, and no end without an end."""

from collections.abc import Callable, Iterator

import pytest

from pgbearer.client import AccessToken, DeviceCode, LoginRefusedError, MetadataError
from pgbearer.client.login.device import device_login
from pgbearer.client.login.request import DEVICE_CLIENT, LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.errors import PgbearerError
from pgbearer.http import FetchError, SyncFetcher
from tests.device_issuer import DeviceIssuer
from tests.parts.authority import Authority

Breaks = Callable[[DeviceIssuer], None]


@pytest.fixture(scope="module")
def one_issuer(issuer_authority: Authority) -> Iterator[DeviceIssuer]:
    with DeviceIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def device_issuer(one_issuer: DeviceIssuer) -> DeviceIssuer:
    one_issuer.begin_anew()
    return one_issuer


class Clock:
    """Time passes only where the login waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        """Seconds since the beginning."""
        return sum(self.waits)


def log_in(issuer: DeviceIssuer, show: Callable[[DeviceCode], None] = lambda _code: None) -> tuple[AccessToken, Clock]:
    clock = Clock()
    steps = device_login(LoginRequest(issuer.url, DEVICE_CLIENT), monotonic=clock.now, wall=clock.now)
    with SyncFetcher(issuer.ca_file) as fetcher:
        return run(steps, fetcher, show, sleep=clock.waits.append).access, clock


UNMENDABLE: list[tuple[Breaks, type[PgbearerError], str]] = [
    (lambda issuer: issuer.huge_body(), FetchError, "answered more than"),
    (lambda issuer: issuer.html(), MetadataError, "not a JSON object"),
    (lambda issuer: issuer.redirect(), FetchError, "redirects are not followed"),
    (lambda issuer: issuer.gzip_bomb(), FetchError, "compressed body"),
]


@pytest.mark.parametrize(
    ("breaks", "kind", "says"),
    [
        *UNMENDABLE,
        (lambda issuer: issuer.wrong_issuer(), MetadataError, "metadata of another issuer"),
        (lambda issuer: issuer.status(503), MetadataError, "answered 503"),
        (lambda issuer: issuer.cut(), FetchError, "broke off"),
        (lambda issuer: issuer.down(), FetchError, "connect"),
    ],
)
def test_an_answer_that_is_none_at_first(
    device_issuer: DeviceIssuer, breaks: Breaks, kind: type[PgbearerError], says: str
) -> None:
    breaks(device_issuer)
    with pytest.raises(kind, match=says) as caught:
        log_in(device_issuer)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("breaks", "kind", "says"), UNMENDABLE)
def test_an_answer_that_is_none_while_it_polls(
    device_issuer: DeviceIssuer, breaks: Breaks, kind: type[PgbearerError], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        log_in(device_issuer, lambda _code: breaks(device_issuer))
    assert "the-device-code" not in str(caught.value)


@pytest.mark.parametrize("breaks", [lambda issuer: issuer.status(503), lambda issuer: issuer.cut()])
def test_an_issuer_that_fails_is_asked_until_the_code_ends(device_issuer: DeviceIssuer, breaks: Breaks) -> None:
    with pytest.raises(LoginRefusedError, match="expired before it was approved"):
        log_in(device_issuer, lambda _code: breaks(device_issuer))


@pytest.mark.parametrize("interval", [0, 0.0, 1e-9])
def test_no_interval_makes_a_flood(device_issuer: DeviceIssuer, interval: float) -> None:
    device_issuer.changes["interval"] = interval
    device_issuer.polls.extend(["authorization_pending"] * 3)
    _, clock = log_in(device_issuer)
    assert clock.waits == [1, 1, 1, 1]


@pytest.mark.parametrize("interval", [-1, "5", True, [5], 1e10])
def test_an_interval_that_is_none(device_issuer: DeviceIssuer, interval: object) -> None:
    device_issuer.changes["interval"] = interval
    with pytest.raises(MetadataError, match="interval"):
        log_in(device_issuer)


def test_an_issuer_that_sends_elsewhere_is_not_followed(device_issuer: DeviceIssuer) -> None:
    device_issuer.redirect(to=f"{device_issuer.url}/again")
    device_issuer.requests.clear()
    with pytest.raises(FetchError, match="redirects are not followed"):
        log_in(device_issuer)
    assert sum(device_issuer.requests.values()) == 1
