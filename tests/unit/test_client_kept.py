"""Until when a token is used, and what is done when another is due. No time passes here."""

from dataclasses import dataclass, field

import pytest

from pgbearer.client import AccessToken
from pgbearer.client.sources.kept import Kept
from pgbearer.client.sources.renewed import Renewed
from pgbearer.errors import PgbearerError, UnreachableError, UsageError

START = 1_000_000.0


def kept(life: float = 300, chance: float = 0.0) -> Kept:
    found = Kept.of(AccessToken("a", expires_at=START + life), START, chance)
    assert found is not None
    return found


@pytest.mark.parametrize(("chance", "due"), [(0.0, 210), (0.5, 232.5), (1.0, 255)])
def test_another_is_due_at_a_time_of_chance_before_the_end(chance: float, due: float) -> None:
    one = kept(300, chance)
    assert one.due == START + due
    assert one.young(START + due - 0.1)
    assert not one.young(START + due)
    assert one.still_good(START + 299)
    assert not one.still_good(START + 300)


def test_a_token_whose_end_nobody_knows_is_not_kept() -> None:
    assert Kept.of(AccessToken("a"), START, 0.5) is None


def test_a_machine_that_slept_has_aged_its_tokens() -> None:
    assert not kept().young(START + 86_400)
    assert not kept().still_good(START + 86_400)


def test_a_clock_that_was_set_back_makes_it_old() -> None:
    assert not kept().young(START - 1)


def test_the_pauses_between_attempts_grow_to_a_minute() -> None:
    one, now, pauses = kept(10_000), START + 9_000, []
    for _ in range(20):
        one = one.after_failure(now)
        pauses.append(one.due - now)
        now = one.due
    assert pauses[:6] == [5, 10, 20, 40, 60, 60]
    assert set(pauses[4:]) == {60}


@dataclass
class World:
    """An issuer and a clock: `fails` is raised while it is set."""

    now: float = START
    life: float | None = 300
    fails: PgbearerError | None = None
    given: list[str] = field(default_factory=list)
    renewed: Renewed = field(init=False)

    def __post_init__(self) -> None:
        self.renewed = Renewed(self.fetch, wall=lambda: self.now, chance=lambda: 0.0)

    async def fetch(self) -> AccessToken:
        if self.fails is not None:
            raise self.fails
        self.given.append(f"token-{len(self.given)}")
        return AccessToken(self.given[-1], expires_at=None if self.life is None else self.now + self.life)

    def token(self) -> str:
        return self.renewed.token().reveal()


def test_it_is_used_until_the_next_is_due() -> None:
    world = World()
    assert [world.token(), world.token()] == ["token-0", "token-0"]
    world.now += 209
    assert world.token() == "token-0"
    world.now += 1
    assert [world.token(), world.token()] == ["token-1", "token-1"]


async def test_the_asynchronous_shell_does_the_same() -> None:
    world = World()
    for later, expected in ((0, "token-0"), (209, "token-0"), (1, "token-1"), (300, "token-2")):
        world.now += later
        assert (await world.renewed.token_async()).reveal() == expected


def test_without_a_known_end_each_use_asks() -> None:
    world = World(life=None)
    assert [world.token(), world.token()] == ["token-0", "token-1"]


@pytest.mark.parametrize("in_tasks", [False, True])
async def test_an_issuer_that_does_not_answer_is_no_fault_until_the_token_ends(in_tasks: bool) -> None:
    world = World()

    async def token() -> str:
        if in_tasks:
            return (await world.renewed.token_async()).reveal()
        return world.token()

    await token()
    world.fails = UnreachableError("no answer")
    for later in (210, 5, 10, 20, 40, 14):
        world.now += later
        assert await token() == "token-0"
    world.now = START + 300
    with pytest.raises(UnreachableError, match="no answer"):
        await token()
    world.fails = None
    assert await token() == "token-1"


def test_an_issuer_that_does_not_answer_is_not_asked_at_each_use() -> None:
    world = World()
    world.token()
    world.now, world.fails = START + 210, UnreachableError("no answer")
    world.token()
    world.fails = None  # it would answer now, but is left alone for 5 s
    assert world.token() == "token-0"
    world.now += 5
    assert world.token() == "token-1"


@pytest.mark.parametrize("refusal", [PgbearerError("refused"), UsageError("no such file")])
def test_a_refusal_counts_at_once_and_the_old_token_is_forgotten(refusal: PgbearerError) -> None:
    world = World()
    world.token()
    world.now, world.fails = START + 210, refusal
    for _ in range(2):
        with pytest.raises(type(refusal), match=refusal.what):
            world.token()
    assert world.renewed._kept is None
