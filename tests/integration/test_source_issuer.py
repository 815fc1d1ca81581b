"""Services at an authority that answers well and badly: how often it is asked, and what happens when it does not."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path

import pytest

from pgbearer.client import AccessToken, LoginRefusedError, StaticSource, TokenSource, claims_in
from pgbearer.client.sources.authentication import ClientCertificate, ClientSecret, SignedAssertion
from pgbearer.client.sources.client_credentials import ClientCredentialsSource
from pgbearer.client.sources.exchange import ExchangeSource
from pgbearer.client.sources.file import FileSource
from pgbearer.errors import UnreachableError, UsageError
from tests.parts.authority import Authority
from tests.parts.processes import wait_until
from tests.service_issuer import SECRET, ServiceIssuer


@pytest.fixture
def service_issuer(issuer_authority: Authority) -> Iterator[ServiceIssuer]:
    with ServiceIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(f"{SECRET}\n")
    return file


class Clock:
    """The machine's, and what a test adds."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def service(issuer: ServiceIssuer, secret: Path, clock: Callable[[], float] = time.time) -> ClientCredentialsSource:
    client = ClientSecret("db:billing", secret)
    return ClientCredentialsSource(issuer.url, client, "db:demo", ca_file=issuer.ca_file, timeout=2.0, wall=clock)


def test_a_secret_proves_the_client(service_issuer: ServiceIssuer, secret: Path) -> None:
    source = service(service_issuer, secret)
    token = source.token()
    assert claims_in(token)["sub"] == "service-1"
    (asked,) = service_issuer.asked
    assert asked.client == "db:billing"
    assert asked.form == {"grant_type": "client_credentials", "scope": "db:demo"}
    assert source.issuer == service_issuer.url


def test_a_thousand_connections_make_one_request(service_issuer: ServiceIssuer, secret: Path) -> None:
    source = service(service_issuer, secret)
    with ThreadPoolExecutor(20) as pool:
        tokens = set(pool.map(lambda _: source.token(), range(1_000)))
    assert (len(tokens), len(service_issuer.asked)) == (1, 1)


async def test_tasks_and_threads_share_it(service_issuer: ServiceIssuer, secret: Path) -> None:
    source = service(service_issuer, secret)
    tasks = [source.token_async() for _ in range(50)]
    threads = [asyncio.to_thread(source.token) for _ in range(4)]
    assert len(set(await asyncio.gather(*tasks, *threads))) == 1
    assert len(service_issuer.asked) == 1


def test_a_new_secret_is_used_as_soon_as_it_is_needed(service_issuer: ServiceIssuer, secret: Path) -> None:
    secret.write_text("an old one")
    source = service(service_issuer, secret)
    with pytest.raises(LoginRefusedError) as caught:
        source.token()
    assert caught.value.error == "invalid_client"
    assert "an old one" not in str(caught.value)
    secret.write_text(SECRET)
    assert claims_in(source.token())["sub"] == "service-2"


def test_it_is_renewed_ahead_of_its_end(service_issuer: ServiceIssuer, secret: Path) -> None:
    clock = Clock()
    source = service(service_issuer, secret, clock)
    source.token()
    clock.ahead = 200.0
    source.token()
    assert len(service_issuer.asked) == 1
    clock.ahead = 256.0
    source.token()
    assert len(service_issuer.asked) == 2


FAULTS: dict[str, Callable[[ServiceIssuer], None]] = {
    "down": ServiceIssuer.down,
    "hangs": ServiceIssuer.hang,
    "redirects": lambda issuer: issuer.redirect(),
    "html": ServiceIssuer.html,
    "huge": ServiceIssuer.huge_body,
    "gzip bomb": ServiceIssuer.gzip_bomb,
    "cut": ServiceIssuer.cut,
    "503": lambda issuer: issuer.status(503),
    "another's metadata": ServiceIssuer.wrong_issuer,
    "wrong type": lambda issuer: issuer.changes.update(token_type="DPoP"),
    "negative expiry": lambda issuer: issuer.changes.update(expires_in=-1),
    "no token": lambda issuer: issuer.changes.update(access_token=None),
    "too busy": lambda issuer: setattr(issuer, "error", (429, "slow_down")),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_good_token_outlives_an_issuer_that_does_not_answer_well(
    fault: Callable[[ServiceIssuer], None], service_issuer: ServiceIssuer, secret: Path
) -> None:
    clock = Clock()
    source = service(service_issuer, secret, clock)
    token = source.token()
    fault(service_issuer)
    clock.ahead = 280.0
    assert source.token() == token
    clock.ahead = 301.0
    with pytest.raises(UnreachableError) as caught:
        source.token()
    assert caught.value.where
    assert SECRET not in str(caught.value)
    service_issuer.mend()
    clock.ahead = 0.0
    assert source.token() != token


def test_a_refusal_ends_it_at_once(service_issuer: ServiceIssuer, secret: Path) -> None:
    clock = Clock()
    source = service(service_issuer, secret, clock)
    source.token()
    service_issuer.error = (401, "unauthorized_client")
    clock.ahead = 256.0
    with pytest.raises(LoginRefusedError, match="may not have such a token"):
        source.token()


async def test_who_is_cancelled_leaves_the_others_their_token(service_issuer: ServiceIssuer, secret: Path) -> None:
    service_issuer.trickle(0.002)
    client = ClientSecret("db:billing", secret)
    source = ClientCredentialsSource(service_issuer.url, client, ca_file=service_issuer.ca_file, timeout=30.0)
    first = asyncio.create_task(source.token_async())
    await asyncio.to_thread(wait_until, lambda: bool(service_issuer.requests), 30, "the issuer to be asked")
    second = asyncio.create_task(source.token_async())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert claims_in(await second)["sub"] == "service-1"


def test_a_key_proves_the_client(service_issuer: ServiceIssuer, issuer_authority: Authority) -> None:
    key = issuer_authority.client("signing").key_file
    source = ClientCredentialsSource(
        service_issuer.url, SignedAssertion("billing", key), ca_file=service_issuer.ca_file
    )
    source.token()
    (asked,) = service_issuer.asked
    assert claims_in(AccessToken(asked.form["client_assertion"]))["aud"] == service_issuer.url


def test_a_certificate_proves_the_client_and_is_read_anew(
    service_issuer: ServiceIssuer, issuer_authority: Authority, tmp_path: Path
) -> None:
    service_issuer.context.load_verify_locations(issuer_authority.ca_file)
    service_issuer.context.verify_mode = ssl.CERT_REQUIRED
    ours = issuer_authority.client("rotating")
    shown = (tmp_path / "crt", tmp_path / "key")
    client = ClientCertificate("billing", shown)
    source = ClientCredentialsSource(service_issuer.url, client, ca_file=service_issuer.ca_file)
    with pytest.raises(UsageError, match="cannot use certificate and key"):
        source.token()
    shown[1].touch(0o600)
    shown[1].write_bytes(ours.key_file.read_bytes())
    shown[0].write_bytes(ours.cert_file.read_bytes())
    with pytest.raises(LoginRefusedError):  # this issuer knows no certificates; it got through TLS
        source.token()
    assert service_issuer.asked[-1].form["client_id"] == "billing"
    shown[1].chmod(0o644)
    with pytest.raises(UsageError, match="everybody on this machine can read it"):
        source.token()


# on behalf of a person


def exchange(issuer: ServiceIssuer, secret: Path, subject: TokenSource) -> ExchangeSource:
    client = ClientSecret("tools", secret)
    return ExchangeSource(issuer.url, client, subject, audience="db:demo", ca_file=issuer.ca_file)


@pytest.mark.parametrize("in_tasks", [False, True])
def test_each_person_keeps_a_token_of_their_own(service_issuer: ServiceIssuer, secret: Path, in_tasks: bool) -> None:
    file = secret.with_name("person")
    file.touch(0o600)
    source = exchange(service_issuer, secret, FileSource(file))

    def who(person: str) -> str:
        file.write_text(person)
        token = asyncio.run(source.token_async()) if in_tasks else source.token()
        return str(claims_in(token)["sub"])

    alice, bob = (service_issuer.token(sub=name) for name in ("alice", "bob"))
    assert [who(person) for person in (alice, bob, alice, bob)] == ["alice", "bob", "alice", "bob"]
    assert len(service_issuer.asked) == 2
    asked = service_issuer.asked[0]
    assert asked.client == "tools"
    assert {name: value for name, value in asked.form.items() if name != "subject_token"} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "db:demo",
    }
    assert asked.form["subject_token"] == alice


async def test_many_persons_at_once_are_never_mixed(service_issuer: ServiceIssuer, secret: Path) -> None:
    """One source for all of them, as a server has it that acts for whoever asks."""
    person: ContextVar[str] = ContextVar("person")

    class WhoeverAsks:
        issuer = None

        def token(self) -> AccessToken:
            return AccessToken(person.get())

        async def token_async(self) -> AccessToken:
            return self.token()

    source = exchange(service_issuer, secret, WhoeverAsks())
    tokens = [service_issuer.token(sub=f"person-{number}") for number in range(5)]

    async def who(number: int) -> str:
        person.set(tokens[number])
        in_task, in_thread = await asyncio.gather(source.token_async(), asyncio.to_thread(source.token))
        assert in_task == in_thread
        return str(claims_in(in_task)["sub"])

    given = await asyncio.gather(*(who(number % 5) for number in range(40)))
    assert given == [f"person-{number % 5}" for number in range(40)]
    assert len(service_issuer.asked) == 5


def test_somebody_elses_token_is_refused(service_issuer: ServiceIssuer, secret: Path) -> None:
    source = exchange(service_issuer, secret, StaticSource(service_issuer.token(sub="alice")))
    service_issuer.changes["access_token"] = service_issuer.token(sub="mallory")
    with pytest.raises(LoginRefusedError, match="somebody else"):
        source.token()


def test_a_refused_exchange_says_what_to_do(service_issuer: ServiceIssuer, secret: Path) -> None:
    source = exchange(service_issuer, secret, StaticSource(service_issuer.token(sub="alice")))
    service_issuer.error = (403, "access_denied")
    with pytest.raises(LoginRefusedError, match="may not exchange that token") as caught:
        source.token()
    assert "audience mapper" in (caught.value.hint or "")
