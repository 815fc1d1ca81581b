"""Why a login was decided as it was: every step, every rule that matters, and what would have to change.

Made from a recorded decision by asking the policy again, so that nothing of it costs a login any time. Pure: the same
record and the same policy give the same explanation.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pgbearer.config import Issuer
from pgbearer.policy.evaluate import Policy
from pgbearer.policy.fields import Asked
from pgbearer.policy.match import Judged, Question, examine, roles_from_token
from pgbearer.policy.outcome import Allow, Outcome
from pgbearer.policy.recorded import RecordError, decide_again, question_of, reason_of
from pgbearer.policy.rule import PolicyRule
from pgbearer.policy.steps import RULE_REASONS, Step, steps_of
from pgbearer.policy.told import judged_by_others
from pgbearer.policy.words import WORDS, Words, listed, person
from pgbearer.wire import Reason, Replication

__all__ = ["Explanation", "KeyExplained", "RuleExplained", "Verdict", "explain_login", "explain_record"]

MOST_RULES: Final = 5
"""So many rules that did not match are explained, the nearest first; the others are counted."""

_WHERE: Final = ("databases", "roles")
_WANT_A_RULE: Final = frozenset(
    {
        *(Reason.NO_RULE, Reason.ROLE_NOT_ALLOWED, Reason.ROLE_PRIVILEGED),
        *(Reason.REPLICATION_NOT_ALLOWED, Reason.AGENT_NOT_ALLOWED),
    }
)
"""Reasons that go away once some rule allows it."""


_ROLES_BY_PROFILE: Final[Mapping[str, tuple[str, ...]]] = defaultdict(
    lambda: ("roles",), {"keycloak": ("realm_access", "roles")}
)
"""Where roles are if ``issuers.*.token_roles`` does not say; `pgbearer.tokens.profiles` has it for verifying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExplained:
    """One key of a rule: what it asks for, what the login had, whether that holds (None: it cannot be judged)."""

    key: str
    holds: bool | None
    wants: str
    has: str
    change: str | None
    """What to do: so that an allow rule's key holds that does not, or a deny rule's does not that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplained:
    """One rule. `keys` are those that it says, or that stand in the way although it says nothing of them."""

    rule: str
    deny: bool
    matched: bool
    ticket: str | None
    gives: tuple[str, ...]
    """The roles that it gives to who meets it, those that this token names included."""
    keys: tuple[KeyExplained, ...]

    @property
    def unmet(self) -> tuple[KeyExplained, ...]:
        """The keys that do not hold or cannot be judged."""
        return tuple(key for key in self.keys if key.holds is not True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision in short."""

    decision: str
    reason: str
    meaning: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that is to be said about one decision."""

    decision: Mapping[str, Any]
    """The record, without what it was decided from."""
    verdict: Verdict
    steps: tuple[Step, ...]
    rules: tuple[RuleExplained, ...]
    """Those that decided or came near, the nearest first; empty if the rules were not asked."""
    rules_total: int
    changes: tuple[str, ...]
    """What would have to change; each is enough unless it says otherwise."""
    notes: tuple[str, ...]
    policy: str
    """Digest of the policy that this was explained by."""
    now: Verdict | None
    """What that policy says to the same login, if it says something else than what was decided."""

    def entry(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return asdict(self)


def explain_record(entry: Mapping[str, Any], policy: Policy, digest: str, issuers: Mapping[str, Issuer]) -> Explanation:
    """Explain a recorded decision.

    Args:
        entry: the decision as its audit line, or the admin socket, has it.
        policy: the rules to ask again, those in force or those of a file.
        digest: of the file that they are from.
        issuers: the issuers of that file.

    Raises:
        RecordError: the record is not of a form that can be explained at all.
    """
    reason = reason_of(entry)
    rules: tuple[RuleExplained, ...] = ()
    outcome: Outcome | None = None
    notes = list(_notes(entry, digest))
    changes: tuple[str, ...] = () if reason is Reason.ALLOWED else (reason.remedy,)
    try:
        asked = question_of(entry)
        outcome = decide_again(policy, asked)
    except RecordError as error:
        if reason in RULE_REASONS or reason is Reason.ALLOWED:
            notes.append(f"The rules cannot be asked again: {error}.")
    else:
        rules = explain_login(policy, asked)
        if reason in RULE_REASONS and not isinstance(outcome, Allow):
            changes = _changes(outcome.reason, rules) or changes
        notes += _places(rules, asked, issuers) if reason in RULE_REASONS else ()
        notes += _alternatives(rules, asked) if reason in _WANT_A_RULE else ()
    return Explanation(
        decision={name: value for name, value in entry.items() if name != "facts"},
        verdict=_verdict(reason, entry.get("rules") or ()),
        steps=steps_of(entry, rules=len(policy.rules)),
        rules=rules,
        rules_total=len(policy.rules),
        changes=changes,
        notes=tuple(notes),
        policy=digest,
        now=_now(reason, entry, outcome),
    )


def explain_login(policy: Policy, asked: Asked) -> tuple[RuleExplained, ...]:
    """The rules that matter to a login: those that match or cannot be judged, then the nearest of the others."""
    question = Question(asked, policy.environments)
    told = {one.rule: one for one in decide_again(policy, asked).considered}
    judged = [
        (rule, (*examine(rule, question), *judged_by_others(rule, told.get(rule.name), asked))) for rule in policy.rules
    ]
    deciding = [(rule, keys) for rule, keys in judged if _matched(keys) or (rule.deny and _unjudged(keys))]
    near = [(rule, keys) for rule, keys in judged if not rule.deny and not _matched(keys)]
    deciding.sort(key=lambda one: (not one[0].deny, one[0].name))
    nearest = heapq.nsmallest(MOST_RULES, near, key=lambda one: _distance(*one))
    return tuple(_rule(rule, keys, question) for rule, keys in (*deciding, *nearest))


def _matched(judged: Sequence[Judged]) -> bool:
    return all(one.holds for one in judged)


def _unjudged(judged: Sequence[Judged]) -> bool:
    """What makes a deny rule refuse although it may not match: nothing before it says no, nor does what it is about."""
    first = next((one for one in judged if one.holds is not True), None)
    elsewhere = any(one.holds is False for one in judged if one.key in _WHERE)
    return first is not None and first.holds is None and not elsewhere


def _distance(rule: PolicyRule, judged: Sequence[Judged]) -> tuple[int, int, str]:
    """How far a rule is from matching: first whether it is about that role and database at all."""
    unmet = [one.key for one in judged if one.holds is not True]
    return sum(key in _WHERE for key in unmet), len(unmet), rule.name


def _rule(rule: PolicyRule, judged: Sequence[Judged], question: Question) -> RuleExplained:
    return RuleExplained(
        rule=rule.name,
        deny=rule.deny,
        matched=_matched(judged),
        ticket=rule.source.ticket,
        gives=(*rule.source.roles, *roles_from_token(rule, question)),
        keys=tuple(_keys(rule, judged, question.asked)),
    )


def _keys(rule: PolicyRule, judged: Iterable[Judged], asked: Asked) -> Iterable[KeyExplained]:
    for one in judged:
        words = WORDS.get(one.key)
        if words is None:
            if one.holds is not True:
                yield KeyExplained(key=one.key, holds=one.holds, wants="", has=one.why or "", change=None)
            continue
        wants = words.wants(rule.source)
        if wants is None and one.holds:
            continue
        has = words.has(rule.source, asked)
        if one.why:
            has = f"{has}; it cannot be judged: {one.why}"
        yield KeyExplained(
            key=one.key,
            holds=one.holds,
            wants=wants or _UNSAID.get(one.key, ""),
            has=has,
            change=_change(rule, one, words, asked),
        )


def _change(rule: PolicyRule, one: Judged, words: Words, asked: Asked) -> str | None:
    if rule.deny:
        return words.undo(rule.source, asked) if words.undo and one.holds is not False else None
    return None if one.holds else words.change(rule.source, asked)


_UNSAID: Final = {
    "actor": "the person, with nobody acting",
    "carries": "all that it asks of the person",
    "replication": "an ordinary connection",
    "privileged": "an ordinary role",
}
"""What a rule that does not say the key asks for."""


def _changes(reason: Reason, rules: tuple[RuleExplained, ...]) -> tuple[str, ...]:
    """What would make the policy allow this login, from the rules that stand in the way or came nearest."""
    if reason in (Reason.DENIED_BY_RULE, Reason.POLICY_ERROR):
        denying = [one for one in rules if one.deny]
        return tuple(line for one in denying for line in _unblock(one)) + _still_needed(rules)
    if reason not in {*_WANT_A_RULE, Reason.DECIDER_DENIED}:
        return (reason.remedy,)
    near = [one for one in rules if not one.matched]
    if not near:
        return ("Write a rule that allows this; the policy has none that allows anything.",)
    return _meet(near[0])


def _meet(one: RuleExplained) -> tuple[str, ...]:
    wanted = tuple(key.change for key in one.unmet if key.change)
    if len(wanted) == 1:
        return (f'So that the rule "{one.rule}" matches: {wanted[0]}',)
    return (f'So that the rule "{one.rule}" matches, all of these:', *(f"  {change}" for change in wanted))


def _unblock(one: RuleExplained) -> Iterable[str]:
    ways = [key.change for key in one.keys if key.change]
    for way in ways:
        yield f'So that the deny rule "{one.rule}" does not match: {way}'
    if not ways:
        yield f'The deny rule "{one.rule}" is for everybody who asks for this: change the rule.'


def _still_needed(rules: tuple[RuleExplained, ...]) -> tuple[str, ...]:
    if any(one.matched and not one.deny for one in rules):
        return ()
    near = [one for one in rules if not one.deny]
    return ("Then some rule must still allow it.", *_meet(near[0])) if near else ("Then a rule must still allow it.",)


def _places(rules: tuple[RuleExplained, ...], asked: Asked, issuers: Mapping[str, Issuer]) -> Iterable[str]:
    """Where the token's roles and groups are read from, if they are in the way."""
    issuer = issuers.get(asked.verified.issuer)
    unmet = {key.key for one in rules[:1] for key in (one.unmet if not one.deny else one.keys)}
    if issuer is None:
        return
    if unmet & {"any_role", "all_roles", "roles"}:
        match issuer.token_roles or _ROLES_BY_PROFILE[issuer.profile]:
            case ("resource_access", client, "roles"):
                yield f'The token\'s roles are those of the client "{client}" at the issuer (resource_access).'
            case ("realm_access", "roles"):
                yield "The token's roles are the realm roles at the issuer (realm_access)."
            case path:
                yield f"The token's roles are read from its claim {'.'.join(path)}."
    if "any_group" in unmet:
        yield f"The token's groups are read from its claim {'.'.join(issuer.groups)}."


def _alternatives(rules: tuple[RuleExplained, ...], asked: Asked) -> Iterable[str]:
    """What the same person could have without any change, and what a new rule could go by."""
    if any(one.deny for one in rules):
        return
    database = "it" if asked.request.replication is Replication.PHYSICAL else asked.request.database
    for one in rules:
        if one.gives and [(key.key, key.holds) for key in one.unmet] == [("roles", False)]:
            yield f'{person(asked)} may have {listed(one.gives)} in {database} now, by the rule "{one.rule}".'
    verified = asked.verified
    roles, groups = listed(verified.token_roles, word="and"), listed(verified.groups, word="and")
    yield f"A rule can go by what the token does have: roles {roles}; groups {groups}."


def _notes(entry: Mapping[str, Any], digest: str) -> Iterable[str]:
    if entry.get("policy") != digest:
        yield (
            f"The policy is not the one that decided: {str(entry.get('policy'))[:12]} then, {digest[:12]} now. "
            "The rules shown are those of now, asked about the moment of the login."
        )
    if entry.get("verified") is False and entry["reason"] != Reason.ALLOWED:
        yield "Of a token that did not pass every check nothing is recorded but its token_ref."


def _now(reason: Reason, entry: Mapping[str, Any], outcome: Outcome | None) -> Verdict | None:
    """What the policy says at present, where the rules had the last word and now say something else."""
    if outcome is None or (reason not in RULE_REASONS and reason is not Reason.ALLOWED):
        return None
    if isinstance(outcome, Allow):
        present, rules = Reason.ALLOWED, outcome.rules
    else:
        present, rules = outcome.reason, (outcome.rule,) if outcome.rule else ()
    same = present is reason and set(rules) == set(entry.get("rules") or ())
    return None if same else _verdict(present, rules)


def _verdict(reason: Reason, rules: Iterable[str]) -> Verdict:
    return Verdict(
        decision="allow" if reason is Reason.ALLOWED else "deny",
        reason=reason.value,
        meaning=reason.meaning,
        rules=tuple(rules),
    )
