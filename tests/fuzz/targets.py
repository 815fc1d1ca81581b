"""What the fuzzer calls in Python: each target takes bytes, and raises only if something that must hold does not."""

import asyncio
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from pgbearer import policy
from pgbearer.cnpg import check_text, decode_spec, render
from pgbearer.cnpg.render import _ADMITS
from pgbearer.config import ConfigError, PolicyFile, load
from pgbearer.config.decode import decode
from pgbearer.config.yaml_file import parse_yaml
from pgbearer.hba import parse, reach
from pgbearer.hba.reach import EVERYTHING
from pgbearer.http.workload_api import read_bundles
from pgbearer.policy.names import Glob
from pgbearer.service.revocation_file import parse_revocations, render_revocations
from pgbearer.tokens import MOST_REVOCATIONS, Denied, trust_domain_of
from pgbearer.tokens.keys import Key, KeyDocumentError, read_key_document
from pgbearer.tokens.post_quantum import ML_DSA
from pgbearer.tokens.service_account import service_account_claims
from pgbearer.tokens.spiffe_id import spiffe_claims
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object
from pgbearer.verified import Verified
from pgbearer.wire import RequestError, decode_request, encode_request
from pgbearer.wire.decode import _read
from tests.issuer import AUDIENCE, Mint
from tests.unit.fix_tokens import Desk
from tests.unit.logins import verified

__all__ = ["CORPUS", "TARGETS"]

CORPUS: Final = Path(__file__).with_name("corpus")
"""A folder of seeds for each target, by its name; a few bytes each."""
NOW: Final = 1_800_000_000


def token(data: bytes) -> None:
    """Bytes as a whole token: nothing that we did not sign is accepted."""
    outcome = _verdict(data.decode("latin-1"))
    assert isinstance(outcome, Denied)
    _check_refusal(outcome)


def signed_payload(data: bytes) -> None:
    """Bytes as the payload of a well signed token: what is accepted is what the settings ask for."""
    outcome = _verdict(_mint().sign(json.dumps(_mint().header()).encode(), data))
    if isinstance(outcome, Verified):
        assert outcome.identity == f"corp:{outcome.subject}"
        assert outcome.audience == (AUDIENCE,)
        assert outcome.subject.isprintable()
        _check_actor(outcome, json.loads(data))
    else:
        _check_refusal(outcome)


def key_document(data: bytes) -> None:
    """Bytes as an issuer's keys: each that may be used has its algorithms, and what is secret is never used."""
    try:
        found = read_key_document(parse_object(data))
    except (NotStrictJsonError, KeyDocumentError):
        return
    for kid, key in found.usable.items():
        of_kid = [entry for entry in json.loads(data)["keys"] if entry.get("kid") == kid]
        assert key.algorithms
        assert any(_is_published(key, entry) for entry in of_kid)  # beside it there may be one for other uses
    assert not found.usable.keys() & found.unusable.keys()


def signed_header(data: bytes) -> None:
    """Bytes as the header of a well signed token: only the one right header leads to its key."""
    mint = _mint()
    outcome = _verdict(mint.sign(data, json.dumps(mint.claims(iat=NOW, exp=NOW + 300)).encode()))
    if isinstance(outcome, Verified):
        header = json.loads(data)
        assert (header["alg"], header["kid"], header["typ"].lower()) == ("EdDSA", mint.key.kid, "at+jwt")
        assert header.keys() <= {"alg", "kid", "typ", "x5t", "x5t#S256"}
    else:
        _check_refusal(outcome)


def settings(data: bytes) -> None:
    """Bytes as pgbearer.yaml: it loads, with its rules compiled, or every problem can be shown."""
    file = _scratch() / "pgbearer.yaml"
    file.write_bytes(data)
    try:
        loaded = load(file, policy.compile)
    except ConfigError as error:
        assert error.problems
        assert all(str(problem).isprintable() for problem in error.problems)
    else:
        assert not any(problem.is_error for problem in loaded.warnings)


def policy_file(data: bytes) -> None:
    """Bytes as a file of policy.d: every problem can be shown, or no rule names what its limits do not."""
    folder = _scratch("policy.d")
    (folder / "pgbearer.yaml").write_text(_MAIN)
    (folder / "policy.d").mkdir(exist_ok=True)
    (folder / "policy.d" / "team.yaml").write_bytes(data)
    try:
        loaded = load(folder / "pgbearer.yaml", policy.compile)
    except ConfigError as error:
        assert all(str(problem).isprintable() for problem in error.problems)
        return
    file = decode(parse_yaml(data.decode()), PolicyFile).settings
    assert file is not None
    assert loaded.settings.rules == file.rules
    assert all(origin.owner == file.owner for origin in loaded.origins)
    for rule in file.rules:
        _check_within(rule.databases, file.limits.databases)
        _check_within(rule.roles, file.limits.roles)
        assert not file.limits.servers or (rule.servers and set(rule.servers) <= set(file.limits.servers))
        assert rule.roles or "*" in file.limits.roles
        assert rule.databases or rule.replication == ("physical",) or "*" in file.limits.databases


def hba_lines(data: bytes) -> None:
    """Bytes as pg_hba.conf: each line is taken, refused or leads elsewhere, once."""
    text = data.decode("utf-8", "replace")
    parsed = parse(text, ("pgbearer",))
    numbers = [*(line.number for line in parsed.lines), *(each.number for each in parsed.wrong), *parsed.includes]
    assert len(numbers) == len(set(numbers))
    assert all(1 <= number <= text.count("\n") + 1 for number in numbers)
    assert reach(parsed.lines) <= EVERYTHING


def manifests(data: bytes) -> None:
    """Bytes as a stream of manifests: every finding is one of the list, and can be shown."""
    for finding in check_text(data.decode("utf-8", "replace")):
        assert finding.severity in ("error", "warning", "notice")
        json.dumps(finding.as_json())
        str(finding)


def cluster_spec(data: bytes) -> None:
    """Bytes as a spec of `cnpg render`: refused with problems that can be shown, or nobody gets in beside OAuth."""
    try:
        draft = decode_spec(data.decode("utf-8", "replace"), "spec.yaml")
        made = render(draft)
    except ConfigError as error:
        assert error.problems
        assert all(str(problem).isprintable() and problem.path is not None for problem in error.problems)
        return
    said = [each for each in check_text(made.text(), images=[draft.spec.images.service]) if each.counts]
    assert not said or draft.spec.insecure_lines
    assert {finding.code for finding in said} <= _ADMITS
    names = [each["metadata"]["name"] for each in made.objects]
    assert all(re.fullmatch(r"[a-z0-9][-a-z0-9.]{0,252}", name) for name in names)


def revocations(data: bytes) -> None:
    """Bytes as the file of revocations: refused whole, or it means the same when it is written again."""
    try:
        found = parse_revocations(data)
    except ValueError:
        return
    assert len(found) <= MOST_REVOCATIONS
    assert parse_revocations(render_revocations(found)).entries == found.entries
    for one in found.entries:
        assert one.denied().detail.isprintable()
        now = float(one.made_at if one.until is None else one.until - 1)
        issuer = one.issuer or "https://sso.example.com/realms/corp"
        assert one.kind != "kid" or not one.in_force(now) or found.of_key(issuer, one.value, now) is not None
    found.of(verified(), float(NOW))


def request(data: bytes) -> None:
    """Bytes as a login request: it is refused, or means the same when it is written again."""
    try:
        decoded = decode_request(data)
    except RequestError as error:
        assert error.detail.isprintable()
        return
    assert _read(data) == decoded  # the short cut reads what the long way does
    assert decode_request(encode_request(decoded)) == decoded


def service_account(data: bytes) -> None:
    """Bytes as the payload of a service account's token: refused, or it is the account that sub says."""
    try:
        payload = {"sub": "", **parse_object(data)}
        claims = service_account_claims({**payload, "sub": str(payload["sub"])})
    except NotStrictJsonError:
        return
    except Denied as denied:
        _check_refusal(denied)
        return
    assert payload["sub"] == f"system:serviceaccount:{claims['namespace']}:{claims['service_account']}"
    assert all(value.isprintable() and value.isascii() and ":" not in value for value in claims.values())


def spiffe_id(data: bytes) -> None:
    """Bytes as a SPIFFE ID: none, or it is put together again from trust domain and path, and says nothing else."""
    subject = data.decode("utf-8", "replace")
    domain = trust_domain_of(subject)
    if domain is None:
        return
    claims = spiffe_claims({"sub": subject})
    assert f"spiffe://{claims['trust_domain']}{claims['path']}" == subject
    assert domain == f"spiffe://{claims['trust_domain']}"
    assert not {"", ".", ".."} & set(claims["path"].split("/")[1:])
    assert re.fullmatch(r"[a-z0-9._-]+", claims["trust_domain"])


def workload_bundles(data: bytes) -> None:
    """Bytes as the Workload API's message: refused, or bundles that are part of it."""
    try:
        bundles = read_bundles(data)
    except ValueError:
        return
    assert all(name.encode() in data and bundle in data for name, bundle in bundles.items())


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        *(token, signed_payload, signed_header, key_document, settings, policy_file, revocations, request),
        *(service_account, spiffe_id, workload_bundles, hba_lines, manifests, cluster_spec),
    )
}


@cache
def _mint() -> Mint:
    return Mint(algorithm="EdDSA")  # the quickest to sign with


@cache
def _desk() -> tuple[asyncio.Runner, Desk]:
    runner = asyncio.Runner()
    desk = Desk(_mint(), algorithms=("EdDSA",), agents=_AGENTS)
    runner.run(desk.fetch())
    return runner, desk


_AGENTS: Final = {"notes": {"clients": ("notes-tools",)}, "mail": {"subjects": ("mail-bot",)}}


def _check_actor(verified: Verified, payload: Mapping[str, Any]) -> None:
    """Whoever acts is told, by ``act`` or by the client, and nobody acts in a token that says neither."""
    act, client = payload.get("act"), payload["azp"]
    by_client = "notes" if client == "notes-tools" else None
    if act is None:
        assert (verified.actor.name if verified.actor else None) == by_client
        assert by_client or payload["jti"][4:7] != "te:"
        return
    assert verified.actor is not None
    assert verified.actor.subject == act["sub"] != payload["sub"]
    assert verified.actor.name == ("notes" if act.get("client_id") == "notes-tools" else "mail")
    assert by_client in {None, verified.actor.name}


def _is_published(key: Key, entry: Mapping[str, Any]) -> bool:
    """Whether this member of the document is the public key that may be used, for no more than it says."""
    quantum = bool(key.algorithms & set(ML_DSA))
    return (
        not {"d", "k", "priv"} & entry.keys()
        and (entry.get("kty") == "AKP") is quantum
        and key.algorithms <= {entry.get("alg", name) for name in key.algorithms}
    )


_MAIN: Final = """\
version: 1
servers: {local: {}, pay-eu: {socket: /run/pgbearer/login/pay.sock}}
issuers:
  corp: {profile: keycloak, issuer: https://a.example, audience: db:a, clients: [c], identity: "corp:{sub}",
    claims: {department: string}, critical: {clients: [c], acr: [mfa]}}
defaults: {session: {until: sso, max: 10h}}
rules: []
"""
"""What stands beside a file of policy.d."""


def _check_within(names: Sequence[str], limits: Sequence[str]) -> None:
    """What a pattern or template of a rule may come to, a name of the limits matches too."""
    for name in names:
        for filling in ("", "x", "0_y"):
            come_to = re.sub(r"\*|\{[^}]*\}", filling, name).replace("?", "q")
            assert any(Glob.of(limit).matches(come_to) for limit in limits), (come_to, limits)


@cache
def _scratch(name: str = "") -> Path:
    return Path(tempfile.mkdtemp(prefix=f"pgbearer-fuzz-{name}"))


def _verdict(presented: str) -> Verified | Denied:
    runner, desk = _desk()
    try:
        return runner.run(desk.verify(presented, now=float(NOW)))
    except Denied as denied:
        return denied


def _check_refusal(denied: Denied) -> None:
    """What goes into logs holds one line of what can be shown."""
    assert denied.detail.isprintable()
