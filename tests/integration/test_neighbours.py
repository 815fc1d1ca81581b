"""Two issuers behind one HBA line, as real logins: where one is opened, and the day after which one is replaced."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pgbearer
from pgbearer.client import UnsafeServerError
from tests.integration.fix_chain import Chain, whole_chain
from tests.issuer import ABSENT, AUDIENCE, CLIENT, Issuer
from tests.parts.authority import Authority
from tests.parts.postgres import Installation

ROLES = ["app_readonly", "app_readwrite"]
RULES = [{"name": "readers", "any_role": ["db-read"], "databases": ["appdb", "postgres"], "roles": ROLES}]


@pytest.fixture(scope="module")
def old_and_new(postgres: Installation, issuer_authority: Authority) -> Iterator[tuple[Chain, Issuer]]:
    """A chain whose HBA line names the issuer ``demo``, and another issuer."""
    line = 'local all app_readwrite oauth issuer="{issuer}" scope="" delegate_ident_mapping=1'
    with whole_chain(postgres, issuer_authority, rules=RULES, hba=[line]) as chain, Issuer(issuer_authority) as other:
        yield chain, other


def issuer(served: Issuer, **more: Any) -> dict[str, Any]:
    usual = {"profile": "keycloak", "audience": AUDIENCE, "clients": [CLIENT], "identity": "demo:{sub}"}
    return {**usual, "issuer": served.url, "ca_file": str(served.ca_file), **more}


def settle(chain: Chain, **issuers: Any) -> None:
    """Have the service know these issuers."""
    chain.service.settle(issuers=issuers)


@contextmanager
def in_as(chain: Chain, token: str, database: str = "appdb") -> Iterator[str]:
    with chain.login(database=database, token=token) as connection:
        row = connection.execute("SELECT system_user").fetchone()
        assert row
        yield str(row[0])


def test_opened_behind_the_hba_issuer_to_the_databases_that_are_named(old_and_new: tuple[Chain, Issuer]) -> None:
    chain, jobs = old_and_new
    settle(chain, demo=issuer(chain.issuer), jobs=issuer(jobs, identity="jobs:{sub}", behind={"demo": ["appdb"]}))
    with in_as(chain, jobs.token(sub="nightly")) as user:
        assert user == "oauth:jobs:nightly"
    assert chain.refusal(database="postgres", token=jobs.token()) == "issuer_mismatch"
    with in_as(chain, chain.issuer.token(), "postgres"):
        pass
    settle(chain, demo=issuer(chain.issuer), jobs=issuer(jobs, identity="jobs:{sub}"))
    assert chain.refusal(token=jobs.token()) == "issuer_mismatch"


def test_a_line_without_scope_takes_tokens_without(old_and_new: tuple[Chain, Issuer]) -> None:
    chain, _ = old_and_new
    settle(chain, demo=issuer(chain.issuer))
    token = chain.issuer.token(scope=ABSENT)
    with chain.login("app_readwrite", token=token):
        pass
    assert chain.refusal(token=token) == "scope_missing"


def test_while_people_move_both_are_accepted_as_the_same_and_counted(old_and_new: tuple[Chain, Issuer]) -> None:
    chain, new = old_and_new
    move = {"replaces": "demo", "until": "2999-12-31", "behind": {"demo": ["appdb"]}}
    settle(chain, demo=issuer(chain.issuer), new=issuer(new, **move))
    with in_as(chain, chain.issuer.token()) as before, in_as(chain, new.token()) as after:
        assert before == after == "oauth:demo:f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"
    old, moved = chain.service.decisions()[-2:]
    assert (old["issuer"], old["detail"]) == ("demo", "issuer 'demo' is being replaced by 'new', until 2999-12-31")
    assert (moved["issuer"], moved["detail"]) == ("new", None)
    assert chain.refusal(token=new.token(sub="alice")) == "subject_invalid"


def test_after_the_day_the_old_issuer_is_refused(old_and_new: tuple[Chain, Issuer]) -> None:
    chain, new = old_and_new
    move = {"replaces": "demo", "until": "2026-06-30", "behind": {"demo": ["appdb"]}}
    settle(chain, demo=issuer(chain.issuer), new=issuer(new, **move))
    assert chain.refusal() == "issuer_replaced"
    with in_as(chain, new.token()):
        pass


def test_each_login_of_a_move_is_counted(old_and_new: tuple[Chain, Issuer]) -> None:
    chain, new = old_and_new
    move = {"replaces": "demo", "until": "2999-12-31", "behind": {"demo": ["appdb"]}}
    settle(chain, demo=issuer(chain.issuer), new=issuer(new, **move))

    def moves() -> dict[str, Any]:
        (move,) = json.loads(chain.service.http("/readyz")[1])["moves"]
        return dict(move)

    before = moves()
    for token in (chain.issuer.token(), new.token(), new.token()):
        with in_as(chain, token):
            pass
    after = moves()
    assert (after["logins_from"], after["logins_to"]) == (before["logins_from"] + 1, before["logins_to"] + 2)
    assert {"from": "demo", "to": "new", "until": "2999-12-31", "over": False}.items() <= after.items()
    page = chain.service.http("/metrics")[1].splitlines()
    assert f'pgbearer_issuer_logins_total{{issuer="demo"}} {float(after["logins_from"])}' in page
    assert f'pgbearer_issuer_logins_total{{issuer="new"}} {float(after["logins_to"])}' in page
    assert any(
        line.startswith('pgbearer_issuer_replaced_timestamp_seconds{issuer="demo",replaced_by="new"} 3.2')
        for line in page
    )


def test_our_client_gives_a_jobs_token_to_servers_of_another_issuer_only_if_it_is_told_to(
    old_and_new: tuple[Chain, Issuer],
) -> None:
    chain, jobs = old_and_new
    settle(chain, demo=issuer(chain.issuer), jobs=issuer(jobs, identity="jobs:{sub}", behind={"demo": ["appdb"]}))
    where: dict[str, Any] = {"host": str(chain.server.folder), "port": chain.server.port, "dbname": "appdb"}
    where |= {"user": "app_readonly", "token": jobs.token(sub="nightly")}
    with pgbearer.connect(**where, behind=chain.issuer.url) as connection:
        assert connection.execute("SELECT system_user").fetchone() == ("oauth:jobs:nightly",)
    refused: tuple[dict[str, Any], ...] = (
        {},
        {"issuer": chain.issuer.url},
        {"issuer": jobs.url},
        {"behind": "https://evil.example"},
        {"behind": chain.issuer.url, "issuer": "https://evil.example"},
        {"behind": chain.issuer.url, "oauth_issuer": "https://evil.example"},
    )
    for told in refused:
        with pytest.raises(UnsafeServerError):
            pgbearer.connect(**where, **told)


async def test_our_asyncio_client_keeps_to_the_same(old_and_new: tuple[Chain, Issuer]) -> None:
    chain, jobs = old_and_new
    settle(chain, demo=issuer(chain.issuer), jobs=issuer(jobs, identity="jobs:{sub}", behind={"demo": ["appdb"]}))
    where: dict[str, Any] = {"host": str(chain.server.folder), "port": chain.server.port, "dbname": "appdb"}
    where |= {"user": "app_readonly", "token": jobs.token(sub="nightly")}
    async with await pgbearer.connect_async(**where, behind=chain.issuer.url) as connection:
        cursor = await connection.execute("SELECT system_user")
        assert await cursor.fetchone() == ("oauth:jobs:nightly",)
    with pytest.raises(UnsafeServerError):
        await pgbearer.connect_async(**where)
