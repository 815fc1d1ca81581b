"""Which rules and issuers were used: what audit lines can tell about a policy."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pgbearer.config import Checked, Loaded, Problem

__all__ = ["IssuerUse", "Usage", "unused_rules"]


@dataclass(slots=True)
class IssuerUse:
    """Logins whose token of one issuer passed every check, whatever the policy then said."""

    logins: int = 0
    last: datetime | None = None
    identities: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Usage:
    """When each rule last decided a login, by name, and when the first decision was made that this is known from."""

    since: datetime | None
    last: Mapping[str, datetime]
    issuers: Mapping[str, IssuerUse] = field(default_factory=dict)
    """By the name of the issuer."""

    @classmethod
    def of(cls, decisions: Iterable[Mapping[str, Any]]) -> "Usage":
        """What these decisions tell, as `decisions_in` gives them; one without a time is passed over."""
        since: datetime | None = None
        last: dict[str, datetime] = {}
        issuers: dict[str, IssuerUse] = {}
        for entry in decisions:
            moment = _moment(entry.get("time"))
            if moment is not None:
                since = moment if since is None else min(since, moment)
                rules = entry.get("rules")
                names = [name for name in rules if isinstance(name, str)] if isinstance(rules, list) else ()
                last.update({name: max(moment, last.get(name, moment)) for name in names})
                _count(issuers, entry, moment)
        return cls(since, last, issuers)


def unused_rules(loaded: Loaded[Checked], usage: Usage, *, now: datetime, days: int) -> Iterator[Problem]:
    """A warning for each allow rule that decided no login for so many days.

    An audit that does not reach back so far says nothing about any rule, and that is said instead. Deny rules are left
    out: that nobody was refused is no reason to let them in.
    """
    oldest = now - timedelta(days=days)
    if usage.since is None or usage.since > oldest:
        reach = "holds no decision" if usage.since is None else f"begins on {usage.since:%Y-%m-%d}"
        message = f"the audit {reach}: it cannot tell which rules nobody used for {days} days"
        yield Problem(path=("rules",), file=str(loaded.file), message=message, severity="notice")
        return
    for index, (rule, origin) in enumerate(zip(loaded.settings.rules, loaded.origins, strict=True)):
        last = usage.last.get(rule.name)
        if not rule.deny and (last is None or last < oldest):
            when = f"last on {last:%Y-%m-%d}" if last else f"not once since {usage.since:%Y-%m-%d}"
            yield Problem(
                path=("rules", index, "name"),
                file=str(origin.file),
                line=origin.line,
                message=f'nobody used the rule "{rule.name}" for {days} days ({when})',
                hint="remove it if nobody needs it",
                severity="warning",
            )


def _count(issuers: dict[str, IssuerUse], entry: Mapping[str, Any], moment: datetime) -> None:
    issuer, identity = entry.get("issuer"), entry.get("identity")
    if entry.get("verified") is True and isinstance(issuer, str) and isinstance(identity, str):
        use = issuers.setdefault(issuer, IssuerUse())
        use.logins += 1
        use.last = moment if use.last is None else max(use.last, moment)
        use.identities.add(identity)


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
