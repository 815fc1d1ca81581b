"""The runbooks of docs/runbooks, followed on a Cluster of the real operator with the real Keycloak.

What a page asks for is done by its own commands, where it has any. The fixtures say how far the Cluster has come.
"""

import base64
import copy
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests import oauth_token
from tests.e2e.admin_api import ask_admin
from tests.e2e.fix_keycloak import IssuedToken
from tests.e2e.fix_runbooks import Connection, Runbooks, await_roles, beside_passwords, two, with_password
from tests.e2e.reader import Page
from tests.klite import our_images
from tests.klite.fleet import Fleet
from tests.parts import image
from tests.parts.needs import CURL, PSQL

pytestmark = pytest.mark.timeout(400)

DOWN, AWAY, KEYS, AUTHORITY, MODULE, PASSWORDS, RESTORE, SWITCHOVER = (
    Page(f"runbooks/{name}.md")
    for name in (
        "keycloak-down",
        "service-down",
        "keycloak-keys",
        "server-authority",
        "module-version",
        "passwords-to-oauth",
        "restore",
        "switchover",
    )
)
EXPLAIN = Page("explain.md")
CHECK = PASSWORDS.command("pgbearer cnpg check --cluster")
STATUS = AWAY.command("pgbearer cnpg status $cluster")
NEXT = "registry.example/pgbearer-module:0.2.0-18-trixie"
"""As in docs/runbooks/module-version.md."""
MEMBER = "SELECT pg_has_role('app_readonly', 'pgbearer_people', 'member')"
HAS_PASSWORD = "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'app_readonly'"
AUDIENCE = "    audience: "
"""How the line of the policy begins before which keys are denied."""
SAMPLE = "1f0a7c5b3d2e49f88a61"
"""The decision in docs/explain.md."""
WHO_AM_I = "\\pset tuples_only\nSELECT current_user;\n"
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
    (wanted,) = yaml.safe_load(PASSWORDS.blocks("yaml")[block])
    role = reader(cluster)
    role.clear()
    role.update(wanted)


def forbid(cluster: Json) -> None:
    """As it is shipped for who is in the group, and without `reject` for the others."""
    postgresql = cluster["spec"]["postgresql"]
    postgresql["parameters"]["pgbearer.forbid_passwords"] = "+pgbearer_people"
    postgresql["pg_hba"] = [line for line in postgresql["pg_hba"] if not line.endswith("all all reject")]


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
    _, get_in, undo = DOWN.blocks()
    with books.reader.beside(DOWN.command("port-forward", "svc/"), "Forwarding from 127.0.0.1:5432"):
        said = books.reader.run(get_in, stdin=WHO_AM_I, PGHOSTADDR="127.0.0.1")
    books.reader.run(undo)
    return said.split()[-1]


def readyz(books: Runbooks) -> tuple[int, Json]:
    """What the service says of itself, with the HTTP status, by the commands of keycloak-down.md for a sidecar."""
    forward = DOWN.command("port-forward", "deploy/$service").replace("deploy/$service", DOWN.command("pod/"))
    with books.reader.beside(forward, "Forwarding from 127.0.0.1:8080"):
        report, status = books.reader.run(f"{DOWN.command('curl')} -w '\\n%{{http_code}}'").rsplit("\n", 1)
    return int(status), json.loads(report)


def test_a_cluster_with_passwords_alone_is_found_so(passwords: Runbooks) -> None:
    assert "hba_no_oauth" in passwords.reader.run(f"{CHECK} 2>&1", status=1)


@pytest.mark.story("passwords-to-oauth", "beside", on="operator")
def test_the_module_comes_in_and_passwords_go_on(beside: Runbooks) -> None:
    names = ["app_readonly", "app_readwrite"]
    assert [who(beside.by_password(name)) for name in names] == names
    with pytest.raises(psycopg.OperationalError, match="SCRAM-SHA-256"):
        beside.log_in(beside.token())
    _, status = PASSWORDS.blocks()
    assert "cannotReconcile" not in json.loads(beside.reader.run(status))
    assert "operator_line_reached" in beside.reader.run(CHECK, status=1)


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
    assert "operator_line_reached" not in closed.reader.run(CHECK)
    assert "nothing to mend" in closed.reader.run(STATUS)


@pytest.mark.story("keycloak-down", "known", on="operator")
@pytest.mark.story("keycloak-down", "anew", on="operator")
@pytest.mark.story("keycloak-down", "sessions", on="operator")
@pytest.mark.story("keycloak-down", "break-glass", on="operator")
@pytest.mark.story("keycloak-down", "again", on="operator")
def test_keycloak_is_away_and_comes_back(closed: Runbooks, need: Any) -> None:
    need(PSQL, CURL)
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
        assert readyz(closed)[0] == 503
        assert goes_on(session)
        assert break_glass(closed) == "breakglass"
    finally:
        closed.network.mend(port)
    closed.fleet.follow(lambda: gets_in(closed, token), "logins to be good again")
    assert readyz(closed)[0] == 200
    assert goes_on(session)
    session.close()
    assert query(closed, STARTED) == started


def test_a_superuser_in_the_primary_needs_no_certificate(closed: Runbooks) -> None:
    with closed.reader.terminal(DOWN.command("kubectl cnpg psql")) as terminal:
        terminal.until("appdb=#")
        terminal.type("SET ROLE app; SELECT 'now as ' || current_user;")
        terminal.until("now as app")
        terminal.type("\\q")
        assert terminal.ends() == 0


def test_why_a_login_was_refused_is_found_in_the_logs(closed: Runbooks) -> None:
    """By docs/explain.md, from the instance's log, and in the sidecar."""
    assert closed.refusal(closed.token(), "app_readwrite") == "role_not_allowed"
    last = closed.reader.run(EXPLAIN.command("grep 'login refused'")).splitlines()[-1]
    (decision,) = re.findall(r"Decision (\w+)", json.loads(last)["record"]["detail"])
    (ask,) = (each for each in EXPLAIN.blocks() if "exec $cluster-1" in each)
    assert "role_not_allowed" in closed.reader.run(ask.replace(SAMPLE, decision))


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
    assert 'container not found ("pgbearer")' in closed.reader.run(STATUS, status=1)
    assert goes_on(session)
    assert break_glass(closed) == "breakglass"
    closed.fleet.follow(lambda: gets_in(closed, token), "logins to be good again")
    assert goes_on(session)
    session.close()
    assert query(closed, STARTED) == started


def test_a_policy_that_is_wrong_keeps_the_old_one_and_starts_no_service(closed: Runbooks) -> None:
    """The last line of the log says where, by the command of service-down.md for a sidecar."""
    logs = AWAY.command("kubectl", "logs $cluster-1")
    token, container = closed.token(), closed.fleet.container(closed.fleet.primary, "pgbearer")
    closed.apply(policy=lambda text: text.replace("audience:", "audiance:"))
    closed.refresh()
    refused = re.compile(r"stays in force.*pgbearer\.yaml", re.DOTALL)
    closed.fleet.follow(lambda: bool(refused.search(closed.reader.run(logs))), "the service to refuse it")
    assert gets_in(closed, token)
    container.stop()
    place = re.compile(r"pgbearer\.yaml:\d+:\d+ .*audiance")
    closed.fleet.follow(lambda: bool(place.search(closed.reader.run(f"{logs} --tail=1"))), "another service to say it")
    assert closed.refusal(token) == "service_unreachable"
    closed.apply()
    closed.refresh()
    closed.fleet.follow(lambda: gets_in(closed, token), "logins to be good again")


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
        closed.apply(
            policy=lambda text: text.replace(AUDIENCE, f"    keys: {{deny: [{new.header['kid']}]}}\n{AUDIENCE}")
        )
        closed.refresh()
        closed.fleet.follow(lambda: not gets_in(closed, new), "the key to be denied")
        assert closed.refusal(new) == "key_denied"
        unknown = KEYS.command("kubectl", "exec $cluster-1")
        assert "(0 rows)" in closed.reader.run(unknown)
        assert "| deny " in closed.reader.run(unknown.replace("key_unknown", "key_denied"))
        assert gets_in(closed, old)
    finally:
        (made,) = admin("GET", "/components", params={"type": kind, "name": "next"})
        admin("DELETE", f"/components/{made['id']}")
        closed.apply()
        closed.refresh()


def ending(pair: dict[str, bytes], at: datetime) -> bytes:
    """The authority of a Secret as it would be if it ended at a time: the same name, key and extensions."""
    old, key = x509.load_pem_x509_certificate(pair["ca.crt"]), load_pem_private_key(pair["ca.key"], None)
    assert isinstance(key, EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=at - timedelta(days=90),
        not_valid_after=at,
        extensions=list(old.extensions),
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.story("server-authority", "ended", on="operator")
@pytest.mark.story("server-authority", "renewed", on="operator")
@pytest.mark.story("server-authority", "before", on="operator")
def test_the_clusters_own_authority_ends(closed: Runbooks, tmp_path: Path) -> None:
    def renewed() -> bool:
        return closed.secret("pg-ca")["ca.crt"] not in (original, near)

    def connects(copy: Path) -> bool:
        where = closed.where("app_readonly") | {"sslrootcert": str(copy)}
        return who(oauth_token.connect(token.compact, issuer=closed.keycloak.issuer(), **where)) == "app_readonly"

    token, pair, now = closed.token(), closed.secret("pg-ca"), datetime.now(UTC)
    original, near = pair["ca.crt"], ending(pair, now + timedelta(days=3))
    over, kept = tmp_path / "over.crt", tmp_path / "kept.crt"
    over.write_bytes(ending(pair, now - timedelta(hours=1)))
    kept.write_bytes(near)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connects(over)
    patch = json.dumps({"data": {"ca.crt": base64.b64encode(near).decode()}})
    closed.stage.cluster.kubectl("-n", "databases", "patch", "secret", "pg-ca", "--type=merge", "-p", patch)
    closed.fleet.follow(renewed, "the operator to renew its authority")
    _, ends, fetch, copies = AUTHORITY.blocks()
    fetched = closed.reader.folder / "pg-ca.crt"
    said = closed.reader.run(fetch)
    until = x509.load_pem_x509_certificate(fetched.read_bytes()).not_valid_after_utc
    assert until > now + timedelta(days=80)
    assert f"{until:%H:%M:%S %Y GMT}" in said
    closed.fleet.follow(lambda: f"{until:%Y-%m-%d %H:%M:%S}" in closed.reader.run(ends), "the Cluster to say so")
    assert connects(fetched)
    assert connects(kept)
    closed.reader.run(f"kubectl create namespace shop --dry-run=client -o yaml | kubectl apply -f -\n{copies}")
    held = json.loads(closed.reader.run("kubectl -n shop get configmap pg-ca -o json"))["data"]
    assert held == {"ca.crt": fetched.read_text()}


def copied(shipped: Sequence[Mapping[str, Any]], from_the_running_one: str) -> Json:
    """The Cluster with another name, and with what the page writes."""
    cluster: Json = copy.deepcopy(next(dict(each) for each in shipped if each["kind"] == "Cluster"))
    cluster["metadata"]["name"] = "restored"
    cluster["spec"] |= yaml.safe_load(from_the_running_one)["spec"]
    return cluster


@pytest.mark.story("restore", "copy", on="operator")
def test_a_new_cluster_from_the_running_one(closed: Runbooks) -> None:
    query(closed, "CHECKPOINT")  # which a copy would begin with, and take its time for
    _, source, look = RESTORE.blocks()
    folder = closed.reader.folder
    closed.reader.run(source)
    cluster = copied(closed.shipped, (folder / "from-the-running-one.yaml").read_text())
    (folder / "manifests.yaml").write_text(yaml.safe_dump(cluster))
    closed.reader.run(look)
    closed.reader.run("kubectl apply -f manifests.yaml")
    with Fleet.start(closed.stage.operator, closed.kubelet, "databases", "restored") as restored:
        await_roles(restored)
        (statement,) = RESTORE.blocks("sql")
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
    _, roll, phase = MODULE.blocks()
    pair.reader.run(roll)
    assert await_module(NEXT)[-1] == primary
    assert pair.reader.run(phase) == "Cluster in healthy state"
    assert gets_in(pair, pair.token())
    pair.apply(two)
    await_module(our_images.MODULE)
    assert gets_in(pair, pair.token())


@pytest.mark.story("switchover", "planned", on="operator")
def test_a_planned_switchover(pair: Runbooks) -> None:
    token = pair.token()
    assert pair.fleet.primary == "pg-1"
    _, promote, primary = SWITCHOVER.blocks()
    pair.reader.run(promote)
    pair.fleet.follow(lambda: pair.reader.run(primary) == "pg-2", "the switchover")
    pair.fleet.await_healthy()
    assert gets_in(pair, token)
    assert re.search(r"^pg .* pg-2$", pair.reader.run(SWITCHOVER.command("get cluster")), re.MULTILINE)


@pytest.mark.story("switchover", "failover", on="operator")
def test_the_primary_is_lost(pair: Runbooks) -> None:
    token, lost = pair.token(), pair.fleet.primary
    pair.fleet.lose(lost)
    pair.fleet.follow(lambda: pair.fleet.primary != lost, "another primary")
    pair.fleet.follow(lambda: gets_in(pair, token), "logins to be good there")
