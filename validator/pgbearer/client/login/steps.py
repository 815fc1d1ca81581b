"""A login as steps: what the sans-I/O core asks of the outside, and the two shells that do it.

`metadata` and the grants are generators. They yield a step, are sent its result and return what they were run for; they
open no connection, read no clock and never sleep. `run` and `run_async` are the only difference between the worlds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar, cast

from pgbearer.client.login.address import https_parts
from pgbearer.http import FetchError, Reply

__all__ = [
    "LONGEST_ADDRESS",
    "Browse",
    "Browser",
    "BrowserAsync",
    "DeviceCode",
    "Fetch",
    "FetchAsync",
    "Get",
    "Post",
    "Redirect",
    "Show",
    "Step",
    "Steps",
    "Wait",
    "ask",
    "browse",
    "run",
    "run_async",
]

T = TypeVar("T")

LONGEST_ADDRESS: Final = 2_000
"""Characters of an address that a person is shown, and that a QR code has room for."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the person needs (RFC 8628 section 3.2): where to go, what to type, and for how many seconds it is good."""

    verification_uri: str
    user_code: str
    expires_in: float

    @property
    def openable(self) -> bool:
        """Whether `verification_uri` is an https URL that shows all there is of it; any other is shown, not opened.

        An issuer that lies could have a browser run a script, start a program or open a file.
        """
        return len(self.verification_uri) <= LONGEST_ADDRESS and https_parts(self.verification_uri) is not None


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


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a browser brought back (RFC 6749 section 4.1.2), each parameter once. One may be a code: repr omits them."""

    parameters: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str:
        """One of them; empty if it is not there."""
        return self.parameters.get(name, "")


@dataclass(frozen=True, slots=True)
class Browse:
    """Open `url` in the person's browser, and wait `seconds` for it to come back with `state`.

    Answered with a `Redirect`, or None if it did not come.
    """

    url: str
    state: str
    seconds: float


Step = Get | Post | Show | Browse | Wait
Answer = Reply | Redirect | None
Steps = Generator[Step, Answer, T]


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


class Browser(Protocol):
    """A person's browser, and the address that it comes back to."""

    def visit(self, step: Browse) -> Redirect | None:
        """Do `step`; blocks."""


class BrowserAsync(Protocol):
    """The same, for an event loop."""

    async def visit_async(self, step: Browse) -> Redirect | None:
        """Do `step`."""


def ask(step: Get | Post) -> Steps[Reply]:
    """Yield `step` and return its reply, nothing else: the typed way for a core to fetch."""
    reply = yield step
    if not isinstance(reply, Reply):
        raise TypeError(f"{step} was answered with {reply}")
    return reply


def browse(step: Browse) -> Steps[Redirect | None]:
    """Yield `step` and return what came back, if it did: the typed way for a core to send a person to a browser."""
    answer = yield step
    if isinstance(answer, Reply):
        raise TypeError(f"{step} was answered with {answer}")
    return answer


def run(
    steps: Steps[T],
    fetch: Fetch,
    show: Callable[[DeviceCode], None] | None = None,
    *,
    browser: Browser | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do every step in this thread and return what the core returns.

    Args:
        steps: a core that has not been started.
        fetch: makes the requests.
        show: puts the code before the person; must not block for long. None for steps that show no code.
        browser: takes the person to a page and back. None for steps that need none.
        sleep: lets seconds pass; tests give one that only counts.

    Raises:
        PgbearerError: whatever the core raises.
    """
    try:
        step = next(steps)
        while True:
            step = _resume(steps, _perform(step, fetch, show, browser, sleep))
    except StopIteration as done:
        return cast("T", done.value)


async def run_async(
    steps: Steps[T],
    fetch: FetchAsync,
    show: Callable[[DeviceCode], None] | None = None,
    *,
    browser: BrowserAsync | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Do every step in this task and return what the core returns; arguments and errors as in `run`.

    `show` runs in a thread, because opening a browser may take a moment.
    """
    try:
        step = next(steps)
        while True:
            step = _resume(steps, await _perform_async(step, fetch, show, browser, sleep))
    except StopIteration as done:
        return cast("T", done.value)


def _resume(steps: Steps[T], answer: Answer | FetchError) -> Step:
    return steps.throw(answer) if isinstance(answer, FetchError) else steps.send(answer)


def _perform(
    step: Step,
    fetch: Fetch,
    show: Callable[[DeviceCode], None] | None,
    browser: Browser | None,
    sleep: Callable[[float], None],
) -> Answer | FetchError:
    try:
        match step:
            case Get(url):
                return fetch.get(url)
            case Post():  # its fields are bound to no name: a traceback with locals would show the device code
                return fetch.post_form(step.url, step.fields, step.headers)
            case Show(code) if show is not None:
                show(code)
            case Browse() if browser is not None:
                return browser.visit(step)
            case Wait(seconds):
                sleep(seconds)
            case _:
                raise _nobody_for(step)
    except FetchError as error:
        return error
    return None


async def _perform_async(
    step: Step,
    fetch: FetchAsync,
    show: Callable[[DeviceCode], None] | None,
    browser: BrowserAsync | None,
    sleep: Callable[[float], Awaitable[None]],
) -> Answer | FetchError:
    try:
        match step:
            case Get(url):
                return await fetch.get(url)
            case Post():  # its fields are bound to no name: a traceback with locals would show the device code
                return await fetch.post_form(step.url, step.fields, step.headers)
            case Show(code) if show is not None:
                await asyncio.to_thread(show, code)
            case Browse() if browser is not None:
                return await browser.visit_async(step)
            case Wait(seconds):
                await sleep(seconds)
            case _:
                raise _nobody_for(step)
    except FetchError as error:
        return error
    return None


def _nobody_for(step: Step) -> TypeError:
    """A mistake of the caller: these steps need a person."""
    return TypeError(f"nobody does {type(step).__name__}: give `show` or `browser`")
