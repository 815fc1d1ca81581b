"""A token that somebody else has to confirm: what happens while their answer is waited for."""

from pgbearer.tokens import LEAST_SECONDS, Revocation, Revocations
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.issuer import Mint
from tests.unit.fix_tokens import Desk


class _SlowWitness:
    """Confirms everything, after somebody has revoked it."""

    critical_only = False

    def __init__(self) -> None:
        self.revocations = Revocations()

    async def confirm(self, token: str, verified: Verified) -> None:
        new = Revocation(
            id="0" * 12,
            kind="sub",
            value=verified.subject,
            made_at=verified.issued_at,
            until=verified.issued_at + LEAST_SECONDS,
            peer_uid=0,
        )
        self.revocations = self.revocations.adding(new)


async def test_what_is_revoked_meanwhile_is_refused(desk: Desk, mint: Mint) -> None:
    """The command to revoke has ended, and promised that it is in force."""
    token, witness = mint.token(), _SlowWitness()
    assert await desk.refusal(token) is Reason.ALLOWED
    desk.verifiers.by_name["corp"].witness = witness
    desk.verifiers.revoked = lambda: witness.revocations
    assert await desk.refusal(token) is Reason.TOKEN_REVOKED
