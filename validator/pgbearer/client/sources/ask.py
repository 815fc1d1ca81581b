"""How a person is asked to log in: with a browser, by device code, or as is sensible here."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from pgbearer.client.grant import Grant
from pgbearer.client.login.browser import code_login
from pgbearer.client.login.device import device_login
from pgbearer.client.login.loopback import Loopback
from pgbearer.client.login.prompt import browser_is_sensible, is_terminal
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import DeviceCode, run_async
from pgbearer.http import Fetcher

__all__ = ["Ask", "BrowserAsk", "DeviceAsk", "How", "SensibleAsk"]

How = Literal["auto", "browser", "device", "never"]
"""``auto``: as is sensible here, if somebody is; ``never``: as for a job: a login that is over is an error."""


class Ask(Protocol):
    """A way to ask."""

    async def __call__(self, fetcher: Fetcher) -> Grant:
        """Ask, and wait for the person. Cancelling takes the question back. Raises what the login raises."""


@dataclass(frozen=True, slots=True)
class BrowserAsk:
    """With a browser on this machine."""

    request: LoginRequest
    browse: Callable[[str], None]

    async def __call__(self, fetcher: Fetcher) -> Grant:
        """As `Ask`; raises what `code_login` raises."""
        with Loopback(self.browse) as loopback:
            steps = code_login(self.request, redirect_uri=loopback.redirect_uri, wall=time.time)
            return await run_async(steps, fetcher, browser=loopback)


@dataclass(frozen=True, slots=True)
class DeviceAsk:
    """By device code: an address and a code, for any browser on any machine."""

    request: LoginRequest
    show: Callable[[DeviceCode], None]

    async def __call__(self, fetcher: Fetcher) -> Grant:
        """As `Ask`; raises what `device_login` raises."""
        steps = device_login(self.request, monotonic=time.monotonic, wall=time.time)
        return await run_async(steps, fetcher, self.show)


@dataclass(frozen=True, slots=True)
class SensibleAsk:
    """With a browser where one would open before the person, else by device code."""

    browser: Ask
    device: Ask

    async def __call__(self, fetcher: Fetcher) -> Grant:
        """As `Ask`; raises what the way that is taken raises."""
        sensible = browser_is_sensible(os.environ, platform=sys.platform, terminal=is_terminal(sys.stderr))
        return await (self.browser if sensible else self.device)(fetcher)
