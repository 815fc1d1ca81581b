"""What holds for every policy, whatever its rules: hypothesis looks for a counterexample."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer import policy
from pgbearer.policy import Allow, Deny, Outcome, Policy
from pgbearer.policy.fields import Asked
from pgbearer.policy.match import Question, consider
from pgbearer.policy.tiers import unmet_demand
from pgbearer.wire import Reason, Replication, RoleAttributes
from tests.unit import logins

DATABASES = st.sampled_from(["appdb", "app2", "payroll", "app*", "*", "pay?oll", "{sub}", "{department}"])
ROLES = st.sampled_from(["app_readonly", "app_readwrite", "app_*", "*", "u_{sub}", "{department}"])
TOKEN_ROLES = st.sampled_from(["db-read", "db-write", "dba", "pg:app_readonly"])
GROUPS = st.sampled_from(["/staff", "/leavers"])
ORGANIZATIONS = st.sampled_from(["acme", "evil"])
WHEN = st.sampled_from(
    ["claims.acr == 'mfa'", "claims.department != 'hr'", "request.role != 'x'", "1 / claims.level > 0"]
)
KINDS = st.sampled_from(["logical", "physical"])


def some(items: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(items, max_size=3, unique=True)


@st.composite
def rules(draw: st.DrawFn, *, deny: bool | None = None) -> dict[str, Any]:
    """One rule as the file would hold it, without a name."""
    rule: dict[str, Any] = {"deny": draw(st.booleans()) if deny is None else deny, "issuers": ("corp",)}
    rule["databases"] = tuple(draw(some(DATABASES)))
    rule["roles"] = tuple(draw(some(ROLES)))
    for key, values in (("any_role", TOKEN_ROLES), ("all_roles", TOKEN_ROLES), ("any_group", GROUPS)):
        if draw(st.integers(0, 2)) == 0:
            rule[key] = tuple(draw(some(values)))
    if draw(st.integers(0, 3)) == 0:
        rule["roles_from"] = {"claim": "token_roles", "strip": "pg:"}
    if draw(st.integers(0, 3)) == 0:
        rule["when"] = draw(WHEN)
    if draw(st.integers(0, 3)) == 0:
        rule["replication"] = tuple(draw(some(KINDS)))
    if draw(st.integers(0, 3)) == 0:
        rule["any_organization"] = tuple(draw(some(ORGANIZATIONS)))
    if not rule["deny"]:
        rule["tier"] = draw(st.sampled_from(["normal", "normal", "critical"]))
        rule["privileged"] = draw(st.booleans())
        rule["session"] = {"until": draw(st.sampled_from(["fixed", "token"]))}
        rule["databases"] = rule["databases"] or ("appdb",)
        rule["roles"] = rule["roles"] or ("app_readonly",)
    return rule


@st.composite
def login(draw: st.DrawFn) -> Asked:
    kind = draw(st.sampled_from(list(Replication)))
    claims: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "acr": st.just("mfa"),
                "department": st.sampled_from(["hr", "a b"]),
                "level": st.sampled_from([0, 1]),
            },
        )
    )
    person = logins.verified(
        token_roles=frozenset(draw(some(TOKEN_ROLES))),
        groups=frozenset(draw(some(GROUPS))),
        organizations=frozenset(draw(some(ORGANIZATIONS))),
        claims=claims,
        client=draw(st.sampled_from(["pgbearer-cli", "pgbearer-cli", "pgbearer-device"])),
        auth_time=draw(st.sampled_from([None, logins.NOW - 60, logins.NOW - 60, logins.NOW - 90000])),
        acr=draw(st.sampled_from([None, "mfa", "mfa", "pwd"])),
    )
    request = logins.request(
        database=""
        if kind is Replication.PHYSICAL
        else draw(st.sampled_from(["appdb", "app2", "payroll", "hr", "4f7c"])),
        role=draw(st.sampled_from(["app_readonly", "app_readwrite", "u_4f7c", "hr"])),
        role_attributes=RoleAttributes(exists=True, superuser=draw(st.booleans())),
        replication=kind,
    )
    keys_age = draw(st.sampled_from([None, 1.0, 1.0, 1e6]))
    return Asked(verified=person, request=request, server="local", now=logins.NOW, keys_age=keys_age)


def policy_of(given: list[dict[str, Any]]) -> Policy:
    base = logins.settings()
    return policy.compile(type(base).model_validate({**_plain(base), "rules": tuple(named(given))})).policy


def named(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where rules have no name yet, one by where they stand."""
    return [{"name": f"rule {number}", **rule} for number, rule in enumerate(given)]


def _plain(base: Any) -> dict[str, Any]:
    """The settings above without rules; sections are values already."""
    return {name: getattr(base, name) for name in type(base).model_fields if name != "rules"}


def decide(rules: Policy, asked: Asked) -> Outcome:
    return policy.decide(
        rules, asked.verified, asked.request, server=asked.server, now=asked.now, keys_age=asked.keys_age
    )


def gist(outcome: Outcome) -> tuple[object, ...]:
    if isinstance(outcome, Allow):
        return ("allow", outcome.identity, outcome.ends_at, outcome.critical, dict(outcome.claims))
    return ("deny", outcome.reason)


MANY = st.lists(rules(), max_size=6)


@given(MANY, login(), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_order_of_rules_never_matters(given: list[dict[str, Any]], asked: Asked, random: Any) -> None:
    given = named(given)  # before they change places: of several reasons, a rule's name chooses the one that is told
    shuffled = list(given)
    random.shuffle(shuffled)
    assert gist(decide(policy_of(given), asked)) == gist(decide(policy_of(shuffled), asked))


@given(MANY, rules(deny=True), login())
@settings(max_examples=300, deadline=None)
def test_adding_a_deny_rule_never_grants(given: list[dict[str, Any]], deny: dict[str, Any], asked: Asked) -> None:
    before, after = decide(policy_of(given), asked), decide(policy_of([*given, deny]), asked)
    if isinstance(before, Deny):
        assert isinstance(after, Deny)


@given(MANY, rules(deny=False), login())
@settings(max_examples=300, deadline=None)
def test_adding_an_allow_rule_never_denies(given: list[dict[str, Any]], allow: dict[str, Any], asked: Asked) -> None:
    """Unless it is of the critical tier, which then must be met."""
    before, after = decide(policy_of(given), asked), decide(policy_of([*given, allow]), asked)
    if isinstance(before, Allow) and (before.critical or allow["tier"] == "normal"):
        assert isinstance(after, Allow)
        assert after.ends_at <= before.ends_at


@given(MANY.filter(bool), login(), st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_critical_is_never_looser_than_normal(given: list[dict[str, Any]], asked: Asked, which: int) -> None:
    one = given[which % len(given)]
    if one["deny"]:
        return
    normal = [rule | {"tier": "normal"} if rule is one else rule for rule in given]
    critical = [rule | {"tier": "critical"} if rule is one else rule for rule in given]
    before, after = decide(policy_of(normal), asked), decide(policy_of(critical), asked)
    if isinstance(after, Allow):
        assert isinstance(before, Allow)
        assert after.ends_at <= before.ends_at
        assert after.critical >= before.critical


@given(MANY, login())
@settings(max_examples=300, deadline=None)
def test_deny_wins_then_any_allow_else_deny(given: list[dict[str, Any]], asked: Asked) -> None:
    """The index is only a sieve: asking every rule of the file comes to the same."""
    compiled = policy_of(given)
    question = Question(asked, compiled.environments)
    said = [consider(rule, question) for rule in compiled.rules]
    outcome = decide(compiled, asked)
    if any(one.deny and (one.matched or one.error) for one in said):
        assert isinstance(outcome, Deny)
    elif any(one.matched for one in said):
        names = {one.rule for one in said if one.matched}
        critical = any(rule.critical for rule in compiled.rules if rule.name in names)
        unmet = unmet_demand(compiled.critical["corp"], asked) if critical else None
        if unmet:
            assert isinstance(outcome, Deny)
            assert outcome.reason is unmet.reason
        else:
            assert isinstance(outcome, Allow)
            assert outcome.rules == tuple(sorted(names))
            assert outcome.critical is critical
    else:
        assert isinstance(outcome, Deny)
        assert outcome.reason not in {Reason.DENIED_BY_RULE, Reason.POLICY_ERROR}
