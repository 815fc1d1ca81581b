"""Explain a decision with the rules in force, or judge a token here and now without logging anybody in."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgbearer.audit import Remembered, timestamp
from pgbearer.config import Issuer, Settings, load
from pgbearer.deciders import Panel, build_panel
from pgbearer.errors import UnreachableError, UsageError
from pgbearer.policy import Ask, Policy, conclude, evaluate
from pgbearer.policy import compile as compile_policy
from pgbearer.policy.explanation import Explanation, explain_record
from pgbearer.policy.recorded import RecordError
from pgbearer.service.exchange import Peer
from pgbearer.service.hearing import hear
from pgbearer.service.judge import Judgement, if_confirmed, judgement_of
from pgbearer.service.recording import login_record
from pgbearer.service.state import State, read_file
from pgbearer.tokens import Denied, Verifiers, build_verifiers, parse, trust_domain_of
from pgbearer.wire import (
    AccessRequest,
    Backend,
    Client,
    Hba,
    LoginRequest,
    Reason,
    Replication,
    RoleAttributes,
    ServerInfo,
)

__all__ = ["explain_entry", "explain_remembered", "rehearse"]

_NO_KEYS = frozenset({Reason.KEYS_UNAVAILABLE, Reason.KEYS_STALE})
_REHEARSED = frozenset(
    {
        "token",
        "issuer",
        "header",
        "signature",
        "kind",
        "time",
        "audience",
        "client",
        "subject",
        "scopes",
        "confirmed",
        "rules",
        "deciders",
    }
)
"""Steps that are really taken in a rehearsal; the others are a server's."""


def explain_remembered(known: Remembered, state: State) -> dict[str, Any]:
    """Explain a remembered decision with the rules in force, as JSON has it. Pure, but long: for a thread.

    Raises:
        RecordError: it is of no form that can be explained.
    """
    return explain_record(known.entry(), state.policy, state.digest, state.settings.issuers).entry()


def explain_entry(entry: dict[str, Any], file: Path) -> dict[str, Any]:
    """Explain a line of an audit with the rules of a file, as JSON has it. The file may be anybody's: it only answers.

    Raises:
        ConfigError: the file cannot be used.
        UsageError: the line is of no form that can be explained.
    """
    loaded = load(file, compile_policy, in_force=False)
    try:
        return explain_record(entry, loaded.checked.policy, loaded.digest, loaded.settings.issuers).entry()
    except RecordError as error:
        raise UsageError(str(error), where=str(entry.get("decision_id"))) from None


async def rehearse(
    file: Path, token: str, *, role: str, database: str, server: str | None, address: str | None
) -> dict[str, Any]:
    """Verify a token as the service would, and explain what the rules say; nobody is logged in, nothing is recorded.

    The issuer's keys are fetched, and who is to be asked about the token or the login is asked: so the file must be one
    that the service would trust. What only a login can tell is taken to be in order, and the notes say so.

    Args:
        file: the policy file.
        token: an access token.
        role: that it would ask for.
        database: that it would ask for.
        server: the asking server's name under ``servers:``; None if there is only one.
        address: of the client, numeric; None for a Unix socket.

    Raises:
        ConfigError: the file cannot be used.
        UsageError: there is no such server, or it must be said which.
        UnreachableError: the issuer's keys cannot be fetched.
    """
    loaded = read_file(file)
    name = _server(loaded.settings, server)
    access = _access(role, database, address, issuer=_hba_issuer(token, database, loaded.settings))
    now = time.time()
    verifiers, panel = build_verifiers(loaded.settings), build_panel(loaded.settings)
    try:
        await verifiers.start()
        judgement = await _judge(loaded.checked.policy, verifiers, panel, LoginRequest(1, token, access), name, now)
    finally:
        await verifiers.aclose()
        if panel is not None:
            await panel.aclose()
    peer = Peer(pid=os.getpid(), uid=os.geteuid(), gid=os.getegid())
    at = int(now * 1000)
    record = login_record(
        LoginRequest(1, token, access), judgement, policy=loaded.digest, server=name, peer=peer, at=at
    )
    entry = {"time": timestamp(at), **record.entry(), "decision_id": None}
    explained = explain_record(entry, loaded.checked.policy, loaded.digest, loaded.settings.issuers)
    return _as_rehearsal(explained, name, address).entry()


async def _judge(
    policy: Policy, verifiers: Verifiers, panel: Panel | None, login: LoginRequest, server: str, now: float
) -> Judgement:
    access = login.access
    try:
        verified = await verifiers.verify(
            login.token, hba_issuer=access.hba.issuer, hba_scopes=(), database=access.database, now=now
        )
    except Denied as denied:
        if denied.reason in _NO_KEYS:
            faults = [f"{status.issuer}: {status.last_error}" for status in verifiers.status(now) if status.last_error]
            raise UnreachableError("; ".join(faults) or denied.detail) from None
        return Judgement(reason=denied.reason, detail=denied.detail, authentic=denied.authentic)
    keys_age = verifiers.keys_age(verified.issuer)
    outcome = evaluate(policy, verified, access, server=server, now=int(now), keys_age=keys_age)
    if isinstance(outcome, Ask):
        heard = await hear(panel, outcome, login.token)
        judgement = judgement_of(conclude(outcome, heard.advice), verified, keys_age)
        judgement = replace(judgement, asked=heard.inquiries)
    else:
        judgement = judgement_of(outcome, verified, keys_age)
    if judgement.allow is not None and judgement.allow.critical:
        return await if_confirmed(verifiers, login.token, judgement, now)
    return judgement


def _as_rehearsal(explained: Explanation, server: str, address: str | None) -> Explanation:
    assumed = (
        f"Nobody was logged in. Taken for granted: server {server} asks, for a client "
        f"{f'at {address}' if address else 'on a Unix socket'}; the HBA line names the token's issuer and no scope; "
        "the role exists and is not privileged. Revocations are not looked at."
    )
    steps = tuple(step for step in explained.steps if step.step in _REHEARSED)
    return replace(explained, steps=steps, notes=(*explained.notes, assumed))


def _server(settings: Settings, name: str | None) -> str:
    if name is None and len(settings.servers) == 1:
        return next(iter(settings.servers))
    if name not in settings.servers:
        known = ", ".join(settings.servers)
        raise UsageError(f"no server {name!r}" if name else "which server asks?", hint=f"Give --server: {known}.")
    return name


def _hba_issuer(token: str, database: str, settings: Settings) -> str:
    """What the HBA line is taken to name: the token's issuer, or one that a SPIFFE trust domain is opened behind."""
    try:
        payload = parse(token).payload
    except Denied:  # verifying it says why
        return ""
    domain = trust_domain_of(payload.get("sub"))
    for issuer in settings.issuers.values():
        if issuer.issuer == domain:
            opened = (_address(settings.issuers[name]) for name, to in issuer.behind.items() if database in to)
            return _address(issuer) or next(opened, "")
    return str(payload.get("iss", ""))


def _address(issuer: Issuer) -> str:
    """What an HBA line can name of this issuer; empty if nothing."""
    return (issuer.spiffe.iss or "") if issuer.spiffe is not None else issuer.issuer


def _access(role: str, database: str, address: str | None, *, issuer: str) -> AccessRequest:
    return AccessRequest(
        request_id="",
        now=int(time.time() * 1000),
        role=role,
        role_attributes=RoleAttributes(exists=True),
        database=database,
        replication=Replication.NONE,
        hba=Hba(issuer=issuer, scopes=(), delegate=True, map=None),
        client=Client(address=address, port=None, tls=None),
        application_name=None,
        server=ServerInfo(instance="", system_identifier="", start=0, in_recovery=False, version=0),
        backend=Backend(pid=0, start=0),
    )
