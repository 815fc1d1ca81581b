"""The runbooks of docs/runbooks, followed on a Cluster of the real operator with the real Keycloak.

What a page asks for is done by its own commands, where it has any. The fixtures say how far the Cluster has come.
"""

import copy
import json
import re
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from tests.e2e.admin_api import ask_admin
from tests.e2e.fix_keycloak import IssuedToken
from tests.e2e.fix_runbooks import PAGES, Connection, Runbooks, await_roles, beside_passwords, two, with_password
from tests.klite import our_images
from tests.klite.fleet import Fleet
from tests.parts import image
from tests.parts.needs import PSQL

pytestmark = pytest.mark.timeout(400)

NEXT = "registry.example/pgbearer-module:0.2.0-18-trixie"
"""As in docs/runbooks/module-version.md."""
MEMBER = "SELECT pg_has_role('app_readonly', 'pgbearer_people', 'member')"
HAS_PASSWORD = "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'app_readonly'"
STARTED = "SELECT pg_postmaster_start_time()"
Json = dict[str, Any]


def reader(cluster: Json) -> Json:
    """The role app_readonly in a Cluster."""
    roles: list[Json] = cluster["spec"]["managed"]["roles"]
    (found,) = (each for each in roles if each["name"] == "app_readonly")
    return found


def as_the_page_says(cluster: Json, block: int) -> None:
    """With the reader as a block of passwords-to-oauth.md has it, beside passwords for the other."""
    beside_passwords(cluster)
    (wanted,) = yaml.safe_load(blocks("passwords-to-oauth.md", "yaml")[block])
    role = reader(cluster)
    role.clear()
    role.update(wanted)


def forbid(cluster: Json) -> None:
    """As it is shipped for who is in the group, and without `reject` for the others."""
    postgresql = cluster["spec"]["postgresql"]
    postgresql["parameters"]["pgbearer.forbid_passwords"] = "+pgbearer_people"
    postgresql["pg_hba"] = [line for line in postgresql["pg_hba"] if not line.endswith("all all reject")]


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page that are written in this."""
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def query(books: Runbooks, sql: str) -> str:
    return books.fleet.query(books.fleet.primary, sql)


def follow(books: Runbooks, sql: str, answer: str) -> None:
    """Until the primary answers so."""
    books.fleet.follow(lambda: query(books, sql) == answer, sql)


def who(connection: Connection) -> str:
    with connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return str(row[0])


def gets_in(books: Runbooks, token: IssuedToken) -> bool:
    try:
        return who(books.log_in(token)) == "app_readonly"
    except psycopg.OperationalError:
        return False


def is_refused_a_password(books: Runbooks, name: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="server requires OAuth authentication"):
        books.by_password(name)
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        books.by_password(name, sslmode="disable")


def goes_on(session: Connection) -> bool:
    return session.execute("SELECT 1").fetchone() == (1,)


def break_glass(books: Runbooks) -> str:
    """Who gets in by the commands of keycloak-down.md, all of which are undone as it says."""
    get_in, undo = books.page("keycloak-down.md")
    said = books.run(get_in, stdin="\\pset tuples_only\nSELECT current_user;\n")
    books.run(undo)
    return said.split()[-1]


@pytest.mark.story("passwords-to-oauth", "beside", on="operator")
def test_the_module_comes_in_and_passwords_go_on(beside: Runbooks) -> None:
    names = ["app_readonly", "app_readwrite"]
    assert [who(beside.by_password(name)) for name in names] == names
    with pytest.raises(psycopg.OperationalError, match="SCRAM-SHA-256"):
        beside.log_in(beside.token())
    (status,) = beside.page("passwords-to-oauth.md")
    assert "cannotReconcile" not in json.loads(beside.run(status))


@pytest.mark.story("passwords-to-oauth", "role", on="operator")
def test_one_role_moves_and_the_other_stays(beside: Runbooks) -> None:
    token = beside.token()
    beside.apply(lambda cluster: as_the_page_says(cluster, 1))
    follow(beside, MEMBER, "t")
    assert gets_in(beside, token)
    is_refused_a_password(beside, "app_readonly")
    assert who(beside.by_password("app_readwrite")) == "app_readwrite"


@pytest.mark.story("passwords-to-oauth", "role-back", on="operator")
def test_a_role_goes_back_in_two_steps_and_in_one_it_never_does(beside: Runbooks) -> None:
    def out_of_the_group(cluster: Json) -> None:
        as_the_page_says(cluster, 2)
        forbid(cluster)

    def with_password_too(cluster: Json) -> None:
        out_of_the_group(cluster)
        with_password(reader(cluster))

    def cannot() -> str:
        status = beside.fleet.get()["status"]["managedRolesStatus"]
        return " ".join(status.get("cannotReconcile", {}).get("app_readonly", []))

    beside.apply(forbid)
    follow(beside, "SHOW pgbearer.forbid_passwords", "+pgbearer_people")
    follow(beside, HAS_PASSWORD, "f")
    follow(beside, MEMBER, "t")
    beside.apply(with_password_too)
    beside.fleet.follow(lambda: "must not have a password" in cannot(), "the operator to be refused")
    assert (query(beside, MEMBER), query(beside, HAS_PASSWORD)) == ("t", "f")
    beside.apply(out_of_the_group)
    follow(beside, MEMBER, "f")
    beside.apply(with_password_too)
    follow(beside, HAS_PASSWORD, "t")
    assert who(beside.by_password("app_readonly")) == "app_readonly"


@pytest.mark.story("passwords-to-oauth", "closed", on="operator")
def test_in_the_end_no_password_is_good(closed: Runbooks) -> None:
    is_refused_a_password(closed, "app_readonly")
    is_refused_a_password(closed, "app_readwrite")
    assert query(closed, "SELECT count(*) FROM pg_authid WHERE rolname ~ '^app_' AND rolpassword IS NOT NULL") == "0"
    assert who(closed.log_in(closed.token())) == "app_readonly"


@pytest.mark.story("keycloak-down", "known", on="operator")
@pytest.mark.story("keycloak-down", "anew", on="operator")
@pytest.mark.story("keycloak-down", "sessions", on="operator")
@pytest.mark.story("keycloak-down", "break-glass", on="operator")
@pytest.mark.story("keycloak-down", "again", on="operator")
def test_keycloak_is_away_and_comes_back(closed: Runbooks, need: Any) -> None:
    need(PSQL)
    token, primary, port = closed.token(), closed.fleet.primary, urlsplit(closed.keycloak.url).port
    assert port is not None
    session, started = closed.log_in(token), query(closed, STARTED)
    closed.network.cut(port)
    try:
        assert gets_in(closed, token)
        closed.fleet.container(primary, "pgbearer").stop()
        closed.fleet.follow(
            lambda: "serving logins" in closed.fleet.container(primary, "pgbearer").log(), "the service"
        )
        assert closed.refusal(token) == "keys_unavailable"
        assert goes_on(session)
        assert break_glass(closed) == "breakglass"
    finally:
        closed.network.mend(port)
    closed.fleet.follow(lambda: gets_in(closed, token), "logins to be good again")
    assert goes_on(session)
    session.close()
    assert query(closed, STARTED) == started


@pytest.mark.story("service-down", "refused", on="operator")
@pytest.mark.story("service-down", "sessions", on="operator")
@pytest.mark.story("service-down", "break-glass", on="operator")
@pytest.mark.story("service-down", "again", on="operator")
def test_the_service_is_away_and_comes_back(closed: Runbooks, need: Any) -> None:
    need(PSQL)
    token, primary = closed.token(), closed.fleet.primary
    session, started = closed.log_in(token), query(closed, STARTED)
    closed.fleet.container(primary, "pgbearer").stop()
    assert closed.refusal(token) == "service_unreachable"
    assert goes_on(session)
    assert break_glass(closed) == "breakglass"
    closed.fleet.follow(lambda: gets_in(closed, token), "logins to be good again")
    assert goes_on(session)
    session.close()
    assert query(closed, STARTED) == started


@pytest.mark.story("keycloak-keys", "new", on="operator")
@pytest.mark.story("keycloak-keys", "old", on="operator")
@pytest.mark.story("keycloak-keys", "leaked", on="operator")
def test_keycloak_signs_with_another_key(closed: Runbooks, admin_password: str) -> None:
    def admin(method: str, path: str, **more: Any) -> Any:
        return ask_admin(closed.keycloak, admin_password, "/demo", method, path, **more)

    old = closed.token()
    (present,) = (each for each in admin("GET", "/keys")["keys"] if each["kid"] == old.header["kid"])
    kind = "org.keycloak.keys.KeyProvider"
    (provider,) = (
        each for each in admin("GET", "/components", params={"type": kind}) if each["id"] == present["providerId"]
    )
    config = {**provider["config"], "priority": [str(present["providerPriority"] + 100)]}
    admin(
        "POST",
        "/components",
        json={key: provider[key] for key in ("providerId", "parentId")}
        | {"name": "next", "providerType": kind, "config": config},
    )
    try:
        new = closed.token()
        assert new.header["kid"] != old.header["kid"]
        assert gets_in(closed, new)
        assert gets_in(closed, old)
        closed.apply(deny=new.header["kid"])
        for pod in closed.fleet.running.values():
            pod.refresh()
        closed.fleet.follow(lambda: not gets_in(closed, new), "the key to be denied")
        assert closed.refusal(new) == "key_denied"
        assert gets_in(closed, old)
    finally:
        (made,) = admin("GET", "/components", params={"type": kind, "name": "next"})
        admin("DELETE", f"/components/{made['id']}")
        closed.apply()
        for pod in closed.fleet.running.values():
            pod.refresh()


@pytest.mark.story("restore", "copy", on="operator")
def test_a_new_cluster_from_the_running_one(closed: Runbooks) -> None:
    cluster = copy.deepcopy(next(dict(each) for each in closed.shipped if each["kind"] == "Cluster"))
    (page,) = map(yaml.safe_load, blocks("restore.md", "yaml"))
    cluster["metadata"]["name"] = "restored"
    cluster["spec"] |= page["spec"]
    query(closed, "CHECKPOINT")  # which a copy would begin with, and take its time for
    closed.stage.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(cluster))
    with Fleet.start(closed.stage.operator, closed.kubelet, "databases", "restored") as restored:
        await_roles(restored)
        (statement,) = blocks("restore.md", "sql")
        assert restored.query(restored.primary, statement) == "0"
        connection = closed.log_in(closed.token(), cluster="restored", fleet=restored)
        assert who(connection) == "app_readonly"
        pods = closed.stage.cluster.get("/api/v1/namespaces/databases/pods?labelSelector=cnpg.io/cluster")["items"]
        assert "restored" in {pod["metadata"]["labels"]["cnpg.io/cluster"] for pod in pods}
        assert {pod["metadata"]["labels"].get("pgbearer.example/reached-as") for pod in pods} == {"pg"}


@pytest.mark.story("module-version", "roll", on="operator")
@pytest.mark.story("module-version", "back", on="operator")
@pytest.mark.story("module-version", "several", on="operator")
def test_the_module_is_rolled_and_back(pair: Runbooks) -> None:
    fleet, primary = pair.fleet, pair.fleet.primary

    def await_module(reference: str) -> list[str]:
        """The instances in the order in which they have it."""
        seen: list[str] = []

        def all_have() -> bool:
            for name, pod in fleet.running.items():
                if reference in json.dumps(pod.source.pod["spec"]["volumes"]) and name not in seen:
                    seen.append(name)
            return len(seen) == 2

        fleet.follow(all_have, reference)
        fleet.await_healthy()
        return seen

    pair.stage.kubelet.images.register(NEXT, image.module(18))
    roll, phase = pair.page("module-version.md")
    pair.run(roll)
    assert await_module(NEXT)[-1] == primary
    assert pair.run(phase) == "Cluster in healthy state"
    assert gets_in(pair, pair.token())
    pair.apply(two)
    await_module(our_images.MODULE)
    assert gets_in(pair, pair.token())


@pytest.mark.story("switchover", "planned", on="operator")
def test_a_planned_switchover(pair: Runbooks) -> None:
    token = pair.token()
    assert pair.fleet.primary == "pg-1"
    promote, primary = pair.page("switchover.md")
    pair.run(promote)
    pair.fleet.follow(lambda: pair.run(primary) == "pg-2", "the switchover")
    pair.fleet.await_healthy()
    assert gets_in(pair, token)


@pytest.mark.story("switchover", "failover", on="operator")
def test_the_primary_is_lost(pair: Runbooks) -> None:
    token, lost = pair.token(), pair.fleet.primary
    pair.fleet.lose(lost)
    pair.fleet.follow(lambda: pair.fleet.primary != lost, "another primary")
    pair.fleet.follow(lambda: gets_in(pair, token), "logins to be good there")
