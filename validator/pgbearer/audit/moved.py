"""Whether a move from one issuer to another is done: what audit lines tell about who still comes by the old one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pgbearer.audit.usage import IssuerUse, Usage
from pgbearer.config import Checked, Loaded, Problem

__all__ = ["unfinished_moves"]


def unfinished_moves(loaded: Loaded[Checked], usage: Usage, *, now: datetime, days: int) -> Iterator[Problem]:
    """For each ``replaces``: how many still come by the old issuer, or that nobody does and it can go.

    An audit that does not reach back for so many days cannot say that nobody does; it says what it saw.
    """
    oldest = now - timedelta(days=days)
    whole = usage.since is not None and usage.since <= oldest
    for name, issuer in loaded.settings.issuers.items():
        if issuer.replaces is None:
            continue
        old = usage.issuers.get(issuer.replaces, IssuerUse())
        new = usage.issuers.get(name, IssuerUse())
        unused = old.last is None or old.last < oldest
        message, hint = _still(issuer.replaces, old, new), None
        if unused and whole:
            message = f'nobody came by issuer "{issuer.replaces}" for {days} days; {new.logins} logins by "{name}"'
            hint = f'remove the issuer "{issuer.replaces}", `replaces` and `until`'
        yield Problem(
            path=("issuers", name, "replaces"),
            file=str(loaded.file),
            message=message,
            hint=hint,
            severity="warning" if hint else "notice",
        )


def _still(name: str, old: IssuerUse, new: IssuerUse) -> str:
    if old.last is None:
        return f'no login by issuer "{name}" in this audit, which is too short to say that nobody needs it'
    share, last = f"{old.logins} of {old.logins + new.logins} logins", old.last.astimezone(UTC)
    return f'{share} were by issuer "{name}", of {len(old.identities)} identities, last {last:%Y-%m-%d}'
