"""Who is asked at a login, after every check, whether a verified token still holds."""

from typing import Protocol

from pgbearer.verified import Verified

__all__ = ["Witness"]


class Witness(Protocol):
    """Somebody who knows what a signature cannot tell: that what the token stands for is still there."""

    @property
    def critical_only(self) -> bool:
        """Whether it is asked only before a rule of the critical tier lets somebody in."""
        ...

    async def confirm(self, token: str, verified: Verified) -> None:
        """Nothing, if the token still holds; every fault is a denial.

        Raises:
            Denied: token_inactive or issuer_unavailable.
        """
