"""How a person is asked to log in: by device code."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from pgbearer.client.grant import Grant
from pgbearer.client.login.device import device_login
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import DeviceCode, run_async
from pgbearer.http import Fetcher

__all__ = ["Ask", "DeviceAsk", "How"]

How = Literal["auto", "device", "never"]
"""``auto``: as is sensible here; ``never``: as for a job, for which a login that is over is an error."""


class Ask(Protocol):
    """A way to ask."""

    async def __call__(self, fetcher: Fetcher) -> Grant:
        """Ask, and wait for the person. Cancelling takes the question back. Raises what the login raises."""


@dataclass(frozen=True, slots=True)
class DeviceAsk:
    """By device code: an address and a code, for any browser on any machine."""

    request: LoginRequest
    show: Callable[[DeviceCode], None]

    async def __call__(self, fetcher: Fetcher) -> Grant:
        """As `Ask`; raises what `device_login` raises."""
        steps = device_login(self.request, monotonic=time.monotonic, wall=time.time)
        return await run_async(steps, fetcher, self.show)
