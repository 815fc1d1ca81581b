"""What a revocation refuses, until when, and that a remembered token is asked about it as any other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pgbearer.config.settings import Issuer
from pgbearer.tokens import LEAST_SECONDS, MOST_REVOCATIONS, Revocation, Revocations, TooManyError
from pgbearer.wire import Reason
from tests.issuer import Mint, SigningKey
from tests.unit.fix_tokens import Desk
from tests.unit.logins import verified

NOW = 1_800_000_000
ISSUER = "https://sso.example.com/realms/corp"
OTHER = "https://other.example.com"


def revocation(kind: str = "sid", value: str = "s1", **changes: Any) -> Revocation:
    usual = {"id": "0" * 12, "made_at": NOW, "until": NOW + LEAST_SECONDS, "peer_uid": 0}
    return Revocation.model_validate({"kind": kind, "value": value, **usual, **changes})


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        (revocation("sid", "s1"), True),
        (revocation("sid", "s2"), False),
        (revocation("sub", "s1"), False),
        (revocation("sub", "4f7c"), True),
        (revocation("sub", "4F7C"), False),
        (revocation("sub", "4f7c", before=NOW - 10), False),
        (revocation("sub", "4f7c", before=NOW - 9), True),
        (revocation("sub", "other", before=NOW), False),
        (revocation("jti", "t1"), True),
        (revocation("jti", "t"), False),
        (revocation("kid", "k1"), True),
        (revocation("kid", "k2"), False),
        (revocation("before", "", before=NOW - 10), False),
        (revocation("before", "", before=NOW - 9), True),
        (revocation("sid", "s1", issuer=ISSUER), True),
        (revocation("sid", "s1", issuer=OTHER), False),
        (revocation("before", "", before=NOW, issuer=ISSUER), True),
        (revocation("before", "", before=NOW, issuer=OTHER), False),
        (revocation("sid", "s1", until=NOW), False),
        (revocation("sid", "s1", until=NOW + 1), True),
        (revocation("sid", "s1", until=None), True),
    ],
)
def test_it_covers_what_it_says_and_no_more(entry: Revocation, covered: bool) -> None:
    """The token is of `ISSUER`, issued 10 s ago: sub 4f7c, sid s1, jti t1, kid k1."""
    found = Revocations([entry]).of(verified(), NOW)
    assert (found is entry) is covered
    if found:
        assert found.reason is (Reason.KEY_DENIED if entry.kind == "kid" else Reason.TOKEN_REVOKED)


def test_a_token_without_the_claim_is_not_the_one() -> None:
    everything = Revocations([revocation("sid", "None"), revocation("jti", "None")])
    assert everything.of(verified(session_id=None, token_id=None), NOW) is None


def test_the_latest_moment_counts_and_the_earlier_one_once_it_is_lifted() -> None:
    early = revocation("before", "", before=NOW - 100, id="a" * 12)
    late = revocation("before", "", before=NOW, id="b" * 12)
    for order in ([early, late], [late, early]):
        both = Revocations(order)
        assert both.of(verified(), NOW) is late
        assert both.of(verified(issued_at=NOW - 200), NOW) is late
        left = both.without(late.id)
        assert left.of(verified(), NOW) is None
        assert left.of(verified(issued_at=NOW - 200), NOW) is early


@given(
    issued=st.integers(0, 86_400 + 300),
    lifetime=st.integers(1, 86_400),
    leeway=st.integers(0, 300),
    kind=st.sampled_from(["jti", "sub", "before"]),
)
def test_no_token_made_before_it_outlives_the_shortest_one(issued: int, lifetime: int, leeway: int, kind: str) -> None:
    """Whatever the settings are: `issued` seconds before the revocation, by the issuer's clock, which may be ahead."""
    made = NOW + leeway - issued
    last = min(made + lifetime + leeway - 1, NOW + LEAST_SECONDS - 1 if kind != "before" else 2**40)
    values = {"jti": "t1", "sub": "4f7c", "before": ""}
    entry = revocation(kind, values[kind], **({"before": NOW + 300 + 1} if kind == "before" else {}))
    assert last == made + lifetime + leeway - 1, "it expires while the revocation is in force"
    assert Revocations([entry]).of(verified(issued_at=made), last) is entry


def test_the_bounds_that_the_shortest_one_relies_on() -> None:
    def most(name: str) -> int:
        return min(int(one.le) for one in Issuer.model_fields[name].metadata if hasattr(one, "le"))

    assert most("max_lifetime") + 3 * most("leeway") < LEAST_SECONDS


def test_one_about_the_same_tokens_is_replaced_and_ends_no_sooner() -> None:
    first = revocation(id="a" * 12, until=NOW + 9 * LEAST_SECONDS)
    again = revocation(id="b" * 12, made_at=NOW + 1)
    (only,) = Revocations([first]).adding(again).entries
    assert (only.id, only.until) == (again.id, first.until)
    (only,) = Revocations([only]).adding(revocation(id="c" * 12, until=None)).entries
    assert only.until is None
    (only,) = Revocations([only]).adding(revocation(id="d" * 12)).entries
    assert only.until is None
    assert len(Revocations([only]).adding(revocation(issuer=ISSUER, id="e" * 12))) == 2


def test_what_has_ended_makes_room_and_what_has_not_is_never_dropped() -> None:
    full = Revocations(revocation("jti", f"t{n}", until=NOW + 10 * LEAST_SECONDS) for n in range(MOST_REVOCATIONS))
    with pytest.raises(TooManyError):
        full.adding(revocation("jti", "new"))
    assert len(full.adding(revocation("jti", "t7", id="f" * 12))) == MOST_REVOCATIONS
    later = full.adding(revocation("jti", "new", made_at=NOW + 10 * LEAST_SECONDS, until=NOW + 99 * LEAST_SECONDS))
    assert [entry.value for entry in later.entries] == ["new"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "aud"},
        {"value": ""},
        {"kind": "before"},
        {"kind": "before", "value": ""},
        {"kind": "sid", "before": NOW},
        {"kind": "kid", "before": NOW},
        {"id": "x"},
        {"until": "soon"},
        {"until": 2**63},
        {"value": "x" * 1025},
        {"more": 1},
    ],
    ids=str,
)
def test_what_has_no_meaning_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        revocation(**wrong)


CLAIMS: dict[str, Any] = {"iat": NOW, "exp": NOW + 300, "sub": "alice", "sid": "session-1", "jti": "onrtdg:1"}


@pytest.fixture(params=[0, 10], ids=["cold", "remembered"])
async def desk_and_token(request: pytest.FixtureRequest, mint: Mint) -> tuple[Desk, str]:
    desk = Desk(mint, cached=request.param)
    await desk.fetch()
    token = mint.token(**CLAIMS)
    await desk.verify(token, now=NOW)
    return desk, token


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (revocation("sid", "session-1"), Reason.TOKEN_REVOKED),
        (revocation("sub", "alice"), Reason.TOKEN_REVOKED),
        (revocation("sub", "alice", before=NOW + 1), Reason.TOKEN_REVOKED),
        (revocation("sub", "alice", before=NOW), Reason.ALLOWED),
        (revocation("jti", "onrtdg:1"), Reason.TOKEN_REVOKED),
        (revocation("kid", "key-1"), Reason.KEY_DENIED),
        (revocation("before", "", before=NOW + 1), Reason.TOKEN_REVOKED),
        (revocation("before", "", before=NOW), Reason.ALLOWED),
        (revocation("kid", "key-1", issuer=OTHER), Reason.ALLOWED),
        (revocation("sub", "bob"), Reason.ALLOWED),
    ],
    ids=str,
)
async def test_the_next_login_is_refused_and_the_one_after_it_is_lifted_is_not(
    desk_and_token: tuple[Desk, str], entry: Revocation, reason: Reason
) -> None:
    desk, token = desk_and_token
    desk.verifiers.revoked = lambda: Revocations([entry])
    assert await desk.refusal(token, now=NOW) is reason
    desk.verifiers.revoked = Revocations
    assert await desk.refusal(token, now=NOW) is Reason.ALLOWED


async def test_a_revoked_key_is_refused_before_it_is_looked_for(mint: Mint) -> None:
    desk = Desk(mint)
    await desk.fetch()
    token = mint.token(**CLAIMS)
    mint.rotate_keys()
    await desk.fetch()
    fetches = len(desk.documents.times)
    desk.verifiers.revoked = lambda: Revocations([revocation("kid", "key-1")])
    assert await desk.refusal(token, now=NOW) is Reason.KEY_DENIED
    assert len(desk.documents.times) == fetches


async def test_an_answer_that_nobody_has_denies(mint: Mint) -> None:
    desk = Desk(mint, cached=10)
    await desk.fetch()
    token = mint.token(**CLAIMS)
    await desk.verify(token, now=NOW)

    def unknown() -> Revocations:
        raise RuntimeError("not read")

    desk.verifiers.revoked = unknown
    with pytest.raises(RuntimeError):
        await desk.verify(token, now=NOW)


@pytest.mark.parametrize(
    ("entry", "at", "ready"),
    [
        (revocation("kid", "key-1"), NOW, False),
        (revocation("kid", "key-1", until=NOW), NOW - 1, False),
        (revocation("kid", "key-1", until=NOW), NOW, True),
        (revocation("kid", "key-1", issuer=OTHER), NOW, True),
        (revocation("kid", "key-2"), NOW, True),
        (revocation("sub", "alice"), NOW, True),
    ],
    ids=str,
)
async def test_an_issuer_whose_every_key_is_revoked_is_not_ready(
    desk: Desk, entry: Revocation, at: int, ready: bool
) -> None:
    desk.verifiers.revoked = lambda: Revocations([entry])
    (status,) = desk.verifiers.status(at)
    assert (status.ready, status.keys, status.denied) == ((True, ("key-1",), ()) if ready else (False, (), ("key-1",)))


async def test_one_key_that_is_left_is_enough(mint: Mint) -> None:
    mint.keys.append(SigningKey("key-2", "RS256"))
    desk = Desk(mint)
    await desk.fetch()
    desk.verifiers.revoked = lambda: Revocations([revocation("kid", "key-1")])
    (status,) = desk.verifiers.status(NOW)
    assert (status.ready, status.keys, status.denied) == (True, ("key-2",), ("key-1",))
