"""A login as steps: what the sans-I/O core asks of the outside, and the two shells that do it.

`metadata` and `device` are generators. They yield a step, are sent its result, and return what they were run for; they
open no connection, read no clock and never sleep. `run` and `run_async` are the only difference between the worlds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from pgbearer.http import FetchError, Reply

__all__ = [
    "DeviceCode",
    "Fetch",
    "FetchAsync",
    "Get",
    "Post",
    "Show",
    "Step",
    "Steps",
    "Wait",
    "ask",
    "run",
    "run_async",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the person needs (RFC 8628 section 3.2): where to go, what to type, and for how many seconds it is good."""

    verification_uri: str
    user_code: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class Get:
    """Fetch `url`; answered with a `Reply`, or a `FetchError` thrown in."""

    url: str


@dataclass(frozen=True, slots=True)
class Post:
    """Send `fields` as a form to `url`; answered like `Get`. They and the headers hold secrets, so repr omits them."""

    url: str
    fields: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Beside what every request has, e.g. ``authorization``."""


@dataclass(frozen=True, slots=True)
class Show:
    """Put the code before the person; answered with None."""

    code: DeviceCode


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass; answered with None."""

    seconds: float


Step = Get | Post | Show | Wait
Steps = Generator[Step, Reply | None, T]


class Fetch(Protocol):
    """The part of `pgbearer.http.SyncFetcher` that a login uses."""

    def get(self, url: str) -> Reply:
        """Fetch `url`; raises FetchError."""

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Send a form; raises FetchError."""


class FetchAsync(Protocol):
    """The part of `pgbearer.http.Fetcher` that a login uses."""

    async def get(self, url: str) -> Reply:
        """Fetch `url`; raises FetchError."""

    async def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Send a form; raises FetchError."""


def ask(step: Get | Post) -> Steps[Reply]:
    """Yield `step` and return its reply, never None: the typed way for a core to fetch."""
    reply = yield step
    if reply is None:
        raise TypeError(f"{step} was answered with None")
    return reply


def run(
    steps: Steps[T], fetch: Fetch, show: Callable[[DeviceCode], None], *, sleep: Callable[[float], None] = time.sleep
) -> T:
    """Do every step in this thread and return what the core returns.

    Args:
        steps: a core that has not been started.
        fetch: makes the requests.
        show: puts the code before the person; must not block for long.
        sleep: lets seconds pass; tests give one that only counts.

    Raises:
        PgbearerError: whatever the core raises.
    """
    try:
        step = next(steps)
        while True:
            step = _resume(steps, _perform(step, fetch, show, sleep))
    except StopIteration as done:
        return cast("T", done.value)


async def run_async(
    steps: Steps[T],
    fetch: FetchAsync,
    show: Callable[[DeviceCode], None],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Do every step in this task and return what the core returns; arguments and errors as in `run`.

    `show` runs in a thread, because opening a browser may take a moment.
    """
    try:
        step = next(steps)
        while True:
            step = _resume(steps, await _perform_async(step, fetch, show, sleep))
    except StopIteration as done:
        return cast("T", done.value)


def _resume(steps: Steps[T], answer: Reply | FetchError | None) -> Step:
    return steps.throw(answer) if isinstance(answer, FetchError) else steps.send(answer)


def _perform(
    step: Step, fetch: Fetch, show: Callable[[DeviceCode], None], sleep: Callable[[float], None]
) -> Reply | FetchError | None:
    try:
        match step:
            case Get(url):
                return fetch.get(url)
            case Post():  # its fields are bound to no name: a traceback with locals would show the device code
                return fetch.post_form(step.url, step.fields, step.headers)
            case Show(code):
                show(code)
            case Wait(seconds):
                sleep(seconds)
    except FetchError as error:
        return error
    return None


async def _perform_async(
    step: Step, fetch: FetchAsync, show: Callable[[DeviceCode], None], sleep: Callable[[float], Awaitable[None]]
) -> Reply | FetchError | None:
    try:
        match step:
            case Get(url):
                return await fetch.get(url)
            case Post():  # its fields are bound to no name: a traceback with locals would show the device code
                return await fetch.post_form(step.url, step.fields, step.headers)
            case Show(code):
                await asyncio.to_thread(show, code)
            case Wait(seconds):
                await sleep(seconds)
    except FetchError as error:
        return error
    return None
