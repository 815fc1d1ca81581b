"""Run cases: what a policy decides of claims and a request, against what it must decide.

Whether tokens verify is not the business of a case: the claims are taken as they stand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pgbearer.config import ConfigError, Issuer, Problem, Settings, parse_template
from pgbearer.policy.advice import Advice, Answer
from pgbearer.policy.case_file import Case, CaseDefaults, Cases, Expect, RequestOfCase, TokenOfCase
from pgbearer.policy.evaluate import Policy
from pgbearer.policy.explanation import explain_login
from pgbearer.policy.fields import Asked
from pgbearer.policy.outcome import Allow, Outcome
from pgbearer.policy.recorded import decide_again
from pgbearer.verified import Actor, ClaimValue, Verified
from pgbearer.wire import (
    AccessRequest,
    Backend,
    Client,
    Hba,
    Reason,
    Replication,
    RoleAttributes,
    ServerInfo,
    Tls,
)

__all__ = ["Difference", "Result", "run_case"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was expected otherwise."""

    what: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a case went; `why` says what stood in the way, if it was expected otherwise."""

    name: str
    line: int
    differences: tuple[Difference, ...]
    why: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if it came out as expected."""
        return not self.differences


NOON: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
_LIFETIME: Final = 300


def run_case(policy: Policy, settings: Settings, cases: Cases, at: int, file: str = "cases") -> Result:
    """Run one case.

    Args:
        policy: the rules under test.
        settings: the file that they are from.
        cases: the file of cases.
        at: which one, from 0.
        file: the name of the file of cases, for messages.

    Raises:
        ConfigError: it speaks of an issuer or server that the policy does not know, or does not say which.
    """
    case = cases.file.cases[at]
    asked = _Asking(settings, cases.file.defaults, case, file, cases.lines[at]).asked()
    outcome = decide_again(policy, asked)
    differences = tuple(_differences(case.expect, outcome, asked.now))
    why = tuple(_why(policy, asked)) if differences else ()
    return Result(name=case.name, line=cases.lines[at], differences=differences, why=why)


def _differences(expect: Expect, outcome: Outcome, now: int) -> Iterator[Difference]:
    allowed = isinstance(outcome, Allow)
    decision = "allow" if allowed else "deny"
    reason = Reason.ALLOWED.value if isinstance(outcome, Allow) else outcome.reason.value
    rules = outcome.rules if isinstance(outcome, Allow) else tuple(filter(None, [outcome.rule]))
    if decision != expect.decision or (expect.reason is not None and reason != expect.reason):
        yield Difference("decision", " ".join(filter(None, [expect.decision, expect.reason])), f"{decision} {reason}")
    if expect.rules is not None and sorted(expect.rules) != sorted(rules):
        yield Difference("rules", ", ".join(sorted(expect.rules)) or "none", ", ".join(sorted(rules)) or "none")
    if expect.ends_in is not None:
        ends = f"{outcome.ends_at - now} s" if isinstance(outcome, Allow) else "no session"
        if ends != f"{expect.ends_in} s":
            yield Difference("ends_in", f"{expect.ends_in} s", ends)


def _why(policy: Policy, asked: Asked) -> Iterator[str]:
    """The rules that decided, or the one that came nearest, in a line each."""
    explained = explain_login(policy, asked)
    deciding = [one for one in explained if one.matched or one.deny]
    for one in deciding or explained[:1]:
        if one.matched:
            yield f'the {"deny " if one.deny else ""}rule "{one.rule}" matches'
        for key in one.unmet:
            yield f'the rule "{one.rule}" does not match: {key.key} asks for {key.wants}; {key.has}'


@dataclass(frozen=True, slots=True)
class _Asking:
    """A case as the policy is asked about it."""

    settings: Settings
    defaults: CaseDefaults
    case: Case
    file: str
    line: int

    def asked(self) -> Asked:
        token, request = _over(self.defaults.token, self.case.token), _over(self.defaults.request, self.case.request)
        now = int((request.time or NOON).timestamp())
        server = request.server or self._only("server", self.settings.servers)
        if server not in self.settings.servers:
            raise self._unusable(f"there is no server {server!r}")
        return Asked(
            verified=self._verified(token, now),
            request=self._request(request, now),
            server=server,
            now=now,
            keys_age=0.0,
            advice=self._advice(),
        )

    def _advice(self) -> Mapping[str, Advice]:
        """What the case says of each decider; one that it does not speak of cannot be asked."""
        opinions = {**self.defaults.opinions, **self.case.opinions}
        if unknown := sorted(opinions.keys() - self.settings.deciders.keys()):
            raise self._unusable(f"there is no decider {unknown[0]!r}")
        return {name: Advice(answer=_answer(opinions.get(name))) for name in self.settings.deciders}

    def _verified(self, token: TokenOfCase, now: int) -> Verified:
        name = token.issuer or self._only("issuer", self.settings.issuers)
        issuer = self.settings.issuers.get(name)
        if issuer is None:
            raise self._unusable(f"there is no issuer {name!r}")
        claims: Mapping[str, ClaimValue] = token.claims or {}
        if undeclared := sorted(claims.keys() - issuer.claims.keys()):
            raise self._unusable(f"issuer {name!r} declares no claim {undeclared[0]!r}")
        subject, issued = token.sub or "someone", now - (token.age or 0)
        actor = self._actor(token, issuer)
        own = issuer.agents[actor.name].clients if actor else issuer.clients
        client = token.client or next(iter(own or issuer.clients), None)
        return Verified(
            issuer=name,
            issuer_url=issuer.issuer,
            subject=subject,
            identity=_identity(issuer.identity, {**claims, "sub": subject, "client": client or ""}),
            display=None,
            client=client,
            audience=(issuer.audience,),
            scopes=frozenset(token.scopes or ()),
            token_roles=frozenset(token.roles or ()),
            groups=frozenset(token.groups or ()),
            organizations=frozenset(token.organizations or ()),
            claims=claims,
            actor=actor,
            issued_at=issued,
            expires_at=issued + (token.lifetime or _LIFETIME),
            auth_time=None if token.authenticated is None else now - token.authenticated,
            acr=token.acr,
            token_id=None,
            session_id=None,
            key_id="",
            token_ref="",
        )

    def _actor(self, token: TokenOfCase, issuer: Issuer) -> Actor | None:
        """The agent of the case: named, or told by its client as a token's would be."""
        name = token.actor or next(
            (name for name, agent in issuer.agents.items() if token.client in agent.clients), None
        )
        if name is None:
            return None
        if name not in issuer.agents:
            raise self._unusable(f"there is no agent {name!r}")
        return Actor(name=name, prior=token.prior_actors or (), carries=frozenset(issuer.agents[name].carries))

    def _request(self, request: RequestOfCase, now: int) -> AccessRequest:
        if request.role is None or request.database is None:
            raise self._unusable("it does not say which role in which database")
        held: Any = dict.fromkeys(request.attributes or (), True)
        tls = None
        if request.tls or request.certificate:
            tls = Tls(version=request.tls or "TLSv1.3", cipher="", client_cert_sha256=request.certificate)
        return AccessRequest(
            request_id="",
            now=now * 1000,
            role=request.role,
            role_attributes=RoleAttributes(
                exists=request.exists is not False, member_of=frozenset(request.member_of or ()), **held
            ),
            database=request.database,
            replication=Replication(request.replication or "none"),
            hba=Hba(issuer="", scopes=(), delegate=True, map=None),
            client=Client(address=request.address, port=None, tls=tls),
            application_name=request.application_name,
            server=ServerInfo(
                instance="", system_identifier="", start=0, in_recovery=bool(request.in_recovery), version=0
            ),
            backend=Backend(pid=0, start=0),
        )

    def _only(self, what: str, known: Mapping[str, object]) -> str:
        if len(known) != 1:
            raise self._unusable(f"it does not say which {what}: {', '.join(known)}")
        return next(iter(known))

    def _unusable(self, why: str) -> ConfigError:
        problem = Problem(path=(), message=f"{self.case.name}: {why}", file=self.file, line=self.line)
        return ConfigError(self.file, [problem])


def _answer(opinion: str | None) -> Answer:
    if opinion is None:
        return Answer.UNAVAILABLE
    return {"allow": Answer.YES, "deny": Answer.NO}.get(opinion) or Answer(opinion)


def _identity(template: str, values: Mapping[str, ClaimValue]) -> str:
    return parse_template(template).render(lambda field: str(values.get(field, "")))


def _over(defaults: Any, given: Any) -> Any:
    """What is given over what is given by default."""
    return defaults.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
