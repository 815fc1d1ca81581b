"""Builders for policy tests: settings from the rules under test, and a login with only what matters changed."""

from dataclasses import replace
from typing import Any

from pgbearer import policy
from pgbearer.config import Settings
from pgbearer.config.yaml_file import parse_yaml
from pgbearer.policy import Outcome, Policy
from pgbearer.verified import Verified
from pgbearer.wire import AccessRequest, Backend, Client, Hba, Replication, RoleAttributes, ServerInfo

__all__ = ["NOW", "READERS", "ask", "compiled", "request", "settings", "verified"]

NOW = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""
READERS = "{name: readers, any_role: [db-read], databases: [appdb], roles: [app_readonly]}"
_VERIFIED = frozenset(Verified.__dataclass_fields__)

_HEAD = """
version: 1
servers: {local: {}, pay-eu: {socket: /run/pgbearer/login/pay.sock}}
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli, pgbearer-device]
    agents: {notes: {clients: [notes-tools]}, mail: {subjects: [mail-bot], carries: [groups, department]}}
    critical: {clients: [pgbearer-cli], acr: [mfa, passkey]}
    identity: "corp:{sub}"
    claims: {acr: string, department: string, level: int, mfa: bool, teams: string_list}
  batch:
    profile: rfc9068
    issuer: https://batch.example.com
    audience: db:pay-eu
    clients: [nightly]
    identity: "batch:{sub}"
defaults: {session: {until: fixed, max: 10h}}
rules:
"""


def settings(*rules: str) -> Settings:
    """Settings with these rules, each written in YAML's flow style."""
    document = parse_yaml(_HEAD + "".join(f"  - {rule}\n" for rule in rules) if rules else _HEAD + "  []")
    assert not document.problems, document.problems
    return Settings.model_validate(document.value)


def compiled(*rules: str) -> Policy:
    """These rules as a policy; fails if one has an error."""
    return policy.compile(settings(*rules)).policy


def verified(**changes: Any) -> Verified:
    """A person of issuer corp who may read."""
    person = Verified(
        issuer="corp",
        issuer_url="https://sso.example.com/realms/corp",
        subject="4f7c",
        identity="corp:4f7c",
        display="alice",
        client="pgbearer-cli",
        audience=("db:pay-eu",),
        scopes=frozenset({"openid"}),
        token_roles=frozenset({"db-read"}),
        groups=frozenset({"/staff"}),
        claims={"acr": "mfa"},
        issued_at=NOW - 10,
        expires_at=NOW + 290,
        token_id="t1",
        session_id="s1",
        key_id="k1",
        auth_time=NOW - 60,
        acr="mfa",
        token_ref="0123456789ab",
    )
    return replace(person, **changes)


def request(**changes: Any) -> AccessRequest:
    """An ordinary connection from 10.1.2.3 to appdb as app_readonly."""
    ordinary = AccessRequest(
        request_id="00" * 16,
        now=NOW * 1000,
        role="app_readonly",
        role_attributes=RoleAttributes(exists=True),
        database="appdb",
        replication=Replication.NONE,
        hba=Hba(issuer="https://sso.example.com/realms/corp", scopes=("openid",), delegate=True, map=None),
        client=Client(address="10.1.2.3", port=50000, tls=None),
        application_name="psql",
        server=ServerInfo(instance="main", system_identifier="1", start=0, in_recovery=False, version=180000),
        backend=Backend(pid=1, start=0),
    )
    if "request_client" in changes:  # `client` is the token's
        changes["client"] = changes.pop("request_client")
    if "address" in changes:
        changes["client"] = Client(address=changes.pop("address"), port=None, tls=None)
    return replace(ordinary, **changes)


def ask(
    rules: Policy, *, server: str = "local", now: int = NOW, keys_age: float | None = 1.0, **changes: Any
) -> Outcome:
    """Evaluate the usual login with `changes` to the token or the request, told apart by their names."""
    person = {name: value for name, value in changes.items() if name in _VERIFIED}
    rest = {name: value for name, value in changes.items() if name not in _VERIFIED}
    return policy.decide(rules, verified(**person), request(**rest), server=server, now=now, keys_age=keys_age)
