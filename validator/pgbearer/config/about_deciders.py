"""What deciders and the rules that ask them must agree on. Checks as in `pgbearer.config.checks`, which lists them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pgbearer.config.deciders import OnFault
from pgbearer.config.patterns import may_meet
from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.reference import duration_text
from pgbearer.config.rules import Rule
from pgbearer.config.settings import Settings

__all__ = ["DECIDER_CHECKS"]


def asked_deciders_exist(settings: Settings) -> Iterator[Problem]:
    """Rules ask deciders that are there, each once."""
    known = tuple(settings.deciders)
    for index, rule in enumerate(settings.rules):
        if rule.ask is None:
            continue
        key = "all" if rule.ask.all else "any"
        for position, name in enumerate(rule.ask.deciders):
            path: KeyPath = ("rules", index, "ask", key, position)
            if name not in known:
                yield Problem(path=path, message=f'no "{name}" under deciders', hint=did_you_mean(name, known))
            elif name in rule.ask.deciders[:position]:
                yield Problem(path=path, message=f'"{name}" stands here twice')


def deciders_have_a_use(settings: Settings) -> Iterator[Problem]:
    """A decider that no rule asks decides nothing, which somebody may have meant it to."""
    asked = {name for rule in settings.rules if rule.ask for name in rule.ask.deciders}
    for name in settings.deciders:
        if name not in asked:
            message = f'no rule asks "{name}"'
            yield Problem(path=("deciders", name), message=message, severity="warning", of_all_rules=True)


def deny_rules_ask_nobody(settings: Settings) -> Iterator[Problem]:
    """Whether a decider's yes would deny or not is anybody's guess."""
    for index, rule in enumerate(settings.rules):
        if rule.deny and rule.ask is not None:
            hint = "write an allow rule with ask: {..., veto: true}"
            yield Problem(path=("rules", index, "ask"), message="means nothing in a deny rule", hint=hint)
        if rule.deny and rule.fallback:
            yield Problem(path=("rules", index, "fallback"), message="means nothing in a deny rule")


def no_veto_is_escaped(settings: Settings) -> Iterator[Problem]:
    """A veto is an allow rule, and so holds neither for privileged roles nor for replication unless it says so.

    A deny rule holds for both. So whoever lets in what the veto leaves out must ask the same deciders.
    """
    vetoes = [rule for rule in settings.rules if rule.ask is not None and rule.ask.veto]
    for index, rule in enumerate(settings.rules):
        asked = set((rule.ask.all or ()) if rule.ask else ())
        for veto in [] if rule.deny else vetoes:
            unasked = sorted(set(veto.ask.deciders if veto.ask else ()) - asked)
            key = _left_out(veto, rule) if unasked else None
            if key is not None:
                what = "who logs in to a privileged role" if key == "privileged" else "a replication connection"
                message = f'{what} would escape the veto of the rule "{veto.name}"'
                hint = f"let this rule ask {', '.join(unasked)} too: ask: {{all: [...]}}; or keep their roles apart"
                yield Problem(path=("rules", index, key), message=message, hint=hint)


def critical_rules_ask_now(settings: Settings) -> Iterator[Problem]:
    """The critical tier takes no answer of earlier, and nothing less than itself in place of an answer."""
    for index, rule in enumerate(settings.rules):
        if rule.tier != "critical" or rule.ask is None:
            continue
        for name in rule.ask.deciders:
            if name in settings.deciders and settings.deciders[name].cache:
                message = f'a rule of the critical tier, "{rule.name}", takes no answer that was given before'
                hint = "write the decider a second time, without cache, for that rule"
                yield Problem(path=("deciders", name, "cache"), message=message, hint=hint)
        for path, on_fault in _on_faults(index, rule, settings):
            if on_fault.last_known is not None:
                message = f'a rule of the critical tier, "{rule.name}", takes no last known answer'
                yield Problem(path=(*path, "last_known"), message=message, hint="write on_fault: deny in its ask")
            other = _rule(settings, on_fault.rule)
            if other is not None and other.tier != "critical":
                message = f'"{other.name}" is not of the critical tier, as "{rule.name}" is'
                yield Problem(path=(*path, "rule"), message=message)


def fallbacks_are_rules(settings: Settings) -> Iterator[Problem]:
    """What counts in place of an answer is an allow rule that says so itself, asks nobody, and asks for somebody."""
    used = set()
    for path, on_fault in _all_on_faults(settings):
        if on_fault.rule is None:
            continue
        used.add(on_fault.rule)
        other = _rule(settings, on_fault.rule)
        if other is None:
            hint = did_you_mean(on_fault.rule, [rule.name for rule in settings.rules])
            message = f'no rule is called "{on_fault.rule}"'
            yield Problem(path=(*path, "rule"), message=message, hint=hint, of_all_rules=True)
        elif not other.fallback:
            hint = "write fallback: true there; it then counts only in place of an answer"
            yield Problem(path=(*path, "rule"), message=f'"{other.name}" is no fallback', hint=hint)
    for index, rule in enumerate(settings.rules):
        if rule.fallback and rule.ask is not None:
            yield Problem(path=("rules", index, "ask"), message="means nothing in a fallback, which asks nobody")
        if rule.fallback and not rule.deny and not _is_for_somebody(rule):
            hint = "say whom it is for: any_role, all_roles, any_group, any_organization, roles_from or when"
            message = "is met by everybody, and would be a constant yes whenever a decider is away"
            yield Problem(path=("rules", index, "fallback"), message=message, hint=hint)
        if rule.fallback and rule.name not in used:
            message = f'no on_fault names "{rule.name}", so it never counts'
            yield Problem(path=("rules", index, "fallback"), message=message, severity="warning", of_all_rules=True)


def deciders_fit_the_limit(settings: Settings) -> Iterator[Problem]:
    """A question that may take longer than all questions together would never be seen to time out."""
    most = settings.limits.asking
    for name, decider in settings.deciders.items():
        if decider.timeout > most:
            message = f"must not be longer than limits.asking, {duration_text(most)}"
            yield Problem(path=("deciders", name, "timeout"), message=message)
        elif decider.timeout == most:
            message = (
                f"leaves no time to wait for a turn: of more than {decider.concurrency} questions, some are refused"
            )
            hint = "give limits.asking a second more"
            yield Problem(path=("deciders", name, "timeout"), message=message, hint=hint, severity="warning")


def certificates_have_keys(settings: Settings) -> Iterator[Problem]:
    """Our certificate is of use only with its key."""
    for name, decider in settings.deciders.items():
        if (decider.client_cert_file is None) != (decider.client_key_file is None):
            message = "client_cert_file and client_key_file go together"
            yield Problem(path=("deciders", name), message=message)


DECIDER_CHECKS: Final[tuple[Callable[[Settings], Iterator[Problem]], ...]] = (
    asked_deciders_exist,
    deciders_have_a_use,
    deny_rules_ask_nobody,
    no_veto_is_escaped,
    critical_rules_ask_now,
    fallbacks_are_rules,
    deciders_fit_the_limit,
    certificates_have_keys,
)


def _left_out(veto: Rule, rule: Rule) -> str | None:
    """The key of `rule` that lets in what `veto` would not be asked about, None if there is none."""
    physical = rule.replication == ("physical",)  # reads every database, and may name none
    if not (physical or may_meet(veto.databases, rule.databases)):
        return None
    if any(one and other and not set(one) & set(other) for one, other in _places(veto, rule)):
        return None
    exact = [role for role in rule.roles if not set(role) & set("*?{")]
    unsaid = [role for role in exact if not (veto.privileged and role in veto.roles)]
    if rule.privileged and (may_meet(veto.roles, unsaid) or (veto.roles_from and unsaid)):
        return "privileged"
    theirs = may_meet(veto.roles, rule.roles) or veto.roles_from or rule.roles_from
    return "replication" if rule.replication and not veto.replication and theirs else None


def _places(veto: Rule, rule: Rule) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    yield veto.servers, rule.servers
    yield veto.issuers, rule.issuers


def _on_faults(index: int, rule: Rule, settings: Settings) -> Iterator[tuple[KeyPath, OnFault]]:
    """What counts for a rule where its deciders cannot be asked, and where that is written."""
    if rule.ask is None:
        return
    if rule.ask.on_fault is not None:
        if isinstance(rule.ask.on_fault, OnFault):
            yield ("rules", index, "ask", "on_fault"), rule.ask.on_fault
        return
    yield from _of_deciders(rule.ask.deciders, settings)


def _all_on_faults(settings: Settings) -> Iterator[tuple[KeyPath, OnFault]]:
    for index, rule in enumerate(settings.rules):
        if rule.ask is not None and isinstance(rule.ask.on_fault, OnFault):
            yield ("rules", index, "ask", "on_fault"), rule.ask.on_fault
    yield from _of_deciders(settings.deciders, settings)


def _of_deciders(names: Iterable[str], settings: Settings) -> Iterator[tuple[KeyPath, OnFault]]:
    for name in names:
        decider = settings.deciders.get(name)
        if decider is not None and isinstance(decider.on_fault, OnFault):
            yield ("deciders", name, "on_fault"), decider.on_fault


def _rule(settings: Settings, name: str | None) -> Rule | None:
    return next((rule for rule in settings.rules if rule.name == name), None)


def _is_for_somebody(rule: Rule) -> bool:
    named = rule.any_role or rule.all_roles or rule.any_group or rule.any_organization or rule.roles_from or rule.when
    return bool(named) or any("{" in name for name in rule.roles)
