"""Where cases of attack come to a real login: PostgreSQL with the module, the service, an issuer that can be broken."""

import itertools
import os
import pwd
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest

from tests.attacks.cases import OTHER, Case
from tests.integration.fix_chain import Chain, whole_chain
from tests.issuer import Issuer
from tests.parts.authority import Authority
from tests.parts.postgres import Installation, server_uid
from tests.samples import ENTRA_PATH

__all__ = ["ROLES", "Door", "door"]

ROLES: Final = {
    "": "app_readonly",
    "other issuer": "hba_other",
    "parent issuer": "hba_parent",
    "two scopes": "hba_scopes",
    ENTRA_PATH: "hba_tenant",
}
"""The role whose HBA line is the one that a case asks for, by name or by the path of its issuer."""

_B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What PostgreSQL takes for a bearer token (RFC 6750 section 2.1, validate_token_format in auth-oauth.c)."""
_REFUSED: Final = re.compile(r"OAuth login refused: (\w+)\n.*?DETAIL:  (?:Decision (\S+),)?")
_NOT_A_TOKEN: Final = re.compile("malformed OAuth bearer token|malformed OAUTHBEARER message")
_TOLD: Final = r"OAuth bearer authentication failed|malformed OAUTHBEARER message"
_CLAIMS: Final = {"acr": "string", "level": "int", "vip": "bool", "teams": "string_list"}


class Door:
    """One chain for all attacks of a run. What a case needs of the settings and keys stays until one needs another."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._serial = itertools.count()
        self._issuer: dict[str, Any] = {}
        self._rules: Sequence[Mapping[str, Any]] = chain.service.settings["rules"]
        self._usual_rules = self._rules
        self._meet({}, fresh=False)

    @property
    def issuer(self) -> Issuer:
        """Makes tokens and publishes keys."""
        return self.chain.issuer

    def refusal(self, case: Case) -> str:
        """Log in with the case's token, which must be refused: the reason in the server's log.

        A token that PostgreSQL itself refuses reaches no module; the service is asked for the reason, as the module
        of another server might.
        """
        with self._at(case), self._published(case):
            token = case.make(self.issuer, int(time.time()))
            role = ROLES[case.path or case.hba]
            options = {"oauth_issuer": OTHER} if case.hba == "other issuer" else {}
            if case.hba == "parent issuer":
                options = {"oauth_issuer": self.issuer.url.rpartition("/")[0]}
            if _B64TOKEN.fullmatch(token):
                return self.refused(token, role, **options)
            self._refused_by_postgres(token, role)
            with _as_the_server():
                return str(self.chain.service.login(token=token)["reason"])

    def admit(self, case: Case) -> None:
        """Log in with the case's token, which must be let in."""
        with (
            self._at(case),
            self._published(case),
            self.chain.login(ROLES[case.path or case.hba], token=case.make(self.issuer, int(time.time()))),
        ):
            pass

    def refused(self, token: str, role: str = "app_readonly", **options: str) -> str:
        """Log in with `token`, which must be refused: the reason in the server's log, with which the audit agrees."""
        log = self._log_of_refusal(token, role, **options)
        ((said, decision),) = _REFUSED.findall(log)
        records = [record for record in self.chain.service.decisions() if record.get("decision_id") == decision]
        assert all((record["decision"], record["reason"]) == ("deny", said) for record in records)
        return str(said)

    def with_rules(self, rules: Sequence[Mapping[str, Any]], **issuer: Any) -> None:
        """Have the service decide by these rules, until a case needs other settings of the issuer."""
        self._rules = rules
        self._meet(issuer, fresh=False)

    def with_usual_rules(self) -> None:
        """Undo `with_rules`."""
        self.with_rules(self._usual_rules)

    def forget_keys(self) -> None:
        """Have the service know the issuer by another name, so that it fetches its keys anew."""
        self._meet({}, fresh=True)

    @contextmanager
    def _at(self, case: Case) -> Iterator[None]:
        """The issuer has the address that the case asks for."""
        usual = self.issuer.url
        try:
            case.at(self.issuer)
            yield
        finally:
            self.issuer.url = usual

    @contextmanager
    def _published(self, case: Case) -> Iterator[None]:
        if case.publish is None:
            self._meet(case.settings_at(self.issuer), fresh=False)
            yield
            return
        usual = self.issuer.jwks
        keys = case.publish(usual()["keys"])
        self.issuer.jwks = lambda: {"keys": keys}  # type: ignore[method-assign]
        try:
            self._meet(case.settings_at(self.issuer), fresh=True)
            yield
        finally:
            self.issuer.jwks = usual  # type: ignore[method-assign]
            self.forget_keys()

    def _meet(self, changes: Mapping[str, Any], *, fresh: bool) -> None:
        service = self.chain.service
        base = service.settings["issuers"]
        ((name, before),) = base.items()
        usual = {key: before[key] for key in ("audience", "ca_file")}
        usual |= {"profile": "keycloak", "issuer": self.issuer.url}
        usual |= {"clients": ["pgbearer-cli"], "identity": "corp:{sub}", "claims": _CLAIMS}
        wanted = {**usual, **changes}
        name = f"demo{next(self._serial)}" if fresh else name
        if {name: wanted} == base and self._rules == service.settings["rules"]:
            return
        service.settle(issuers={name: wanted}, rules=self._rules)

    def _log_of_refusal(self, token: str, role: str, **options: str) -> str:
        before = len(self.chain.server.log)
        with pytest.raises(psycopg.OperationalError, match=_TOLD):
            self.chain.login(role, token=token, **options).close()
        return self.chain.server.log[before:]

    def _refused_by_postgres(self, token: str, role: str) -> None:
        log = self._log_of_refusal(token, role)
        assert _NOT_A_TOKEN.search(log)
        assert not _REFUSED.search(log)


@contextmanager
def _as_the_server() -> Iterator[None]:
    """Connections made inside are PostgreSQL's in the eyes of the kernel."""
    if os.geteuid() != 0:
        yield
        return
    group, uid = os.getegid(), server_uid()
    os.setegid(pwd.getpwuid(uid).pw_gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


@pytest.fixture(scope="session")
def door(postgres: Installation, issuer_authority: Authority) -> Iterator[Door]:
    """One for the run."""
    with whole_chain(postgres, issuer_authority) as running:
        lines = running.server.data / "pg_hba.conf"
        local, ours = lines.read_text().splitlines()
        lines.write_text("\n".join([local, *_lines(running.issuer.url), ours, ""]))
        running.server.reload()
        for role in ROLES.values():
            running.server.sql(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        yield Door(running)


def _lines(issuer: str) -> Iterator[str]:
    asked = {
        "other issuer": (OTHER, "db:demo"),
        "parent issuer": (issuer.rpartition("/")[0], "db:demo"),
        "two scopes": (issuer, "db:demo db:admin"),
        ENTRA_PATH: (issuer.replace("/realms/demo", ENTRA_PATH), "db:demo"),
    }
    for name, (url, scope) in asked.items():
        yield f'local all {ROLES[name]} oauth issuer="{url}" scope="{scope}" delegate_ident_mapping=1'
