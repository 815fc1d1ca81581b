"""What roles may do, and the SQL that makes them: what is found, and beside it the nearest that is well."""

import base64
from typing import Any

import pytest

from pgbearer.cnpg import about_roles, about_sql
from tests.unit.cnpg_samples import OAUTH, changed, codes, findings, hba

REJECT = "host all all all reject"
Objects = list[dict[str, Any]]
GROUP = "postgresql.cnpg.io/v1"


def person(*others: dict[str, Any], **values: object) -> Objects:
    """A role in the group of the oauth line, and others."""
    alice = {"name": "alice", "login": True, "inRoles": ["people"], **values}
    return [changed(lambda cluster: cluster["spec"]["managed"]["roles"].extend([alice, *others]))]


def initdb(*statements: str, key: str = "postInitApplicationSQL") -> Objects:
    return [changed(lambda cluster: cluster["spec"].update(bootstrap={"initdb": {key: list(statements)}}))]


def imported(*statements: str) -> Objects:
    source = {"import": {"type": "microservice", "postImportApplicationSQL": list(statements)}}
    return [changed(lambda cluster: cluster["spec"].update(bootstrap={"initdb": source}))]


def referred(*objects: dict[str, Any], kind: str = "configMapRefs", key: str = "postInitSQLRefs") -> Objects:
    """A Cluster that runs ``x.sql`` of an object called ``sql``, and the objects that are given with it."""
    refs = {kind: [{"name": "sql", "key": "x.sql"}]}
    return [changed(lambda cluster: cluster["spec"].update(bootstrap={"initdb": {key: refs}})), *objects]


def kept(kind: str = "ConfigMap", namespace: str = "databases", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "sql", "namespace": namespace}, **more}


def both(one: Objects, other: Objects) -> Objects:
    """Two Clusters that refer to the same."""
    one[0]["metadata"]["name"] = "other"
    return [*one, *other]


def role(name: str, of: str = "pg", **values: object) -> dict[str, Any]:
    """A role that is an object of its own."""
    spec = {"name": name, "cluster": {"name": of}, **values}
    return {
        "apiVersion": GROUP,
        "kind": "DatabaseRole",
        "metadata": {"name": name, "namespace": "databases"},
        "spec": spec,
    }


def group(*roles: str) -> Objects:
    return [changed(lambda cluster: cluster["spec"]["managed"]["roles"][0].update(inRoles=list(roles)))]


def with_line(line: str, objects: Objects) -> Objects:
    hba(line, OAUTH, REJECT)(objects[0])
    return objects


def person_of(users: str, **values: object) -> Objects:
    """A role, and an oauth line that is for these."""
    objects = person(**values)
    hba(OAUTH.replace("+people", users), REJECT)(objects[0])
    return objects


def encoded(sql: str) -> dict[str, str]:
    return {"x.sql": base64.b64encode(sql.encode()).decode()}


def nested(tags: str, sql: str) -> str:
    """SQL within quotes within quotes."""
    for tag in tags:
        sql = f"DO ${tag}$ {sql} ${tag}$"
    return sql


DBA: dict[str, Any] = {"name": "dba", "superuser": True}
GRANT = "GRANT pg_execute_server_program TO app"
PAIRS: list[tuple[Objects, list[str], Objects]] = [
    # Of the Cluster
    (person(superuser=True), ["role_powerful"], person(superuser=True, ensure="absent")),
    (person(createrole=True), ["role_powerful"], person(createdb=True)),
    (person(inRoles=["people", "pg_write_server_files"]), ["role_powerful"],
     person(inRoles=["people", "pg_write_all_data"])),
    (person({"name": "breakglass", "superuser": True}, inRoles=["breakglass", "people"]), ["role_powerful"],
     person({"name": "breakglass", "superuser": True}, inRoles=["people", "pg_read_all_data"])),
    (person({"name": "a", "inRoles": ["b"]}, {"name": "b", "inRoles": ["pg_execute_server_program"]},
            inRoles=["people", "a"]), ["role_powerful"],
     person({"name": "a", "inRoles": ["alice"]}, inRoles=["people", "a"])),
    (group("pg_read_server_files"), ["role_powerful"], group("pg_read_all_data")),
    (person(DBA, inRoles=["people", "pg_write_all_data"]), ["role_powerful"],
     person({**DBA, "login": True}, inRoles=["people", "pg_write_all_data"])),
    ([*person({"name": "writers", "inRoles": ["pg_write_all_data"]}, inRoles=["people", "writers"]),
      role("dba", createrole=True, login=False)], ["role_powerful"],
     [*person({"name": "writers", "inRoles": ["pg_read_all_data"]}, inRoles=["people", "writers"]),
      role("dba", createrole=True, login=False)]),
    (person_of("all", inRoles=[], superuser=True), ["role_powerful"],
     person_of("all", inRoles=[], superuser=True, login=False)),
    (person_of("/^a", inRoles=[], superuser=True), ["role_powerful"],
     person_of("bob", inRoles=[], superuser=True)),
    (with_line("hostssl all alice all cert", person()), ["beside_oauth"],
     with_line("hostssl all alison all cert", person())),
    # Objects of their own
    ([*person(), role("bob", inRoles=["people", "pg_write_server_files"])], ["role_powerful"],
     [*person(), role("bob", of="other", inRoles=["people", "pg_write_server_files"])]),
    ([*person(inRoles=["people", "bob"]), role("bob", superuser=True)], ["role_powerful"],
     [*person(inRoles=["people", "bob"]), role("bob", superuser=False)]),
    ([*with_line("hostssl all bob all cert", person()), role("bob", inRoles=["people"])], ["beside_oauth"],
     [*with_line("hostssl all bob all cert", person()), role("bob", inRoles=["programs"])]),
    ([*person(), role("breakglass", superuser=True, clientCertificate={})], ["role_certificate"],
     [*person(), role("breakglass", superuser=True, clientCertificate={"enabled": False})]),
    ([*person(), role("batch", createrole=True, clientCertificate={"enabled": True})], ["role_certificate"],
     [*person(), role("batch", clientCertificate={"enabled": True})]),
    # What SQL makes of roles
    (initdb("CREATE ROLE x LOGIN\nPASSWORD 'y'"), ["sql_password"], initdb("CREATE ROLE x LOGIN PASSWORD NULL")),
    (initdb("alter user app password/**/'y'"), ["sql_password"], initdb("alter user app password/**/null")),
    (initdb("CREATE ROLE app ENCRYPTED PASSWORD 'y'"), ["sql_password"], initdb("CREATE TABLE users (password text)")),
    (initdb("DO $$ BEGIN EXECUTE 'ALTER ROLE app PASSWORD ''x'''; END $$"), ["sql_password"],
     initdb("DO $$ BEGIN RAISE NOTICE 'no role has a password'; END $$")),
    (initdb(GRANT), ["sql_power"], initdb("GRANT pg_read_all_data TO app")),
    (initdb(GRANT, key="postInitTemplateSQL"), ["sql_power"],
     initdb("GRANT SELECT ON pg_execute_server_program TO app")),
    (imported(GRANT), ["sql_power"], imported("REVOKE pg_execute_server_program FROM app")),
    (initdb("CREATE ROLE x SUPERUSER"), ["sql_power"], initdb("CREATE ROLE x NOSUPERUSER")),
    (initdb("CREATE ROLE x IN ROLE postgres"), ["sql_power"], initdb("CREATE ROLE x IN ROLE postgre")),
    (initdb("ALTER GROUP postgres ADD USER x"), ["sql_power"], initdb("ALTER GROUP postgres DROP USER x")),
    (initdb("SELECT ' -- '; " + GRANT), ["sql_power"], initdb("SELECT ' '; -- " + GRANT)),
    (initdb("/* /* */ */ " + GRANT), ["sql_power"], initdb("/* /* */ " + GRANT)),
    (initdb("DO $x$ don't $x$; " + GRANT), ["sql_power"], initdb(GRANT.replace("TO", '"TO"'))),
    # What it does to the server
    (initdb("ALTER SYSTEM SET ssl = off"), ["sql_server"], initdb("ALTER DATABASE app SET search_path = app")),
    (initdb("COPY t TO PROGRAM 'cat'"), ["sql_server"], initdb("COPY t FROM STDIN")),
    (initdb("COPY t TO '/pgdata/pg_hba.conf'"), ["sql_server"], initdb("COPY t TO STDOUT")),
    (initdb("SELECT lo_export(1, '/x')"), ["sql_server"], initdb("SELECT lo_exported FROM t")),
    (initdb("LOAD '/run/x.so'"), ["sql_server"], initdb("INSERT INTO load VALUES ('x')")),
    (initdb("ALTER ROLE app SET session_preload_libraries = 'x'"), ["sql_server"],
     initdb("ALTER ROLE app SET work_mem = '1MB'")),
    (initdb("SELECT pg_catalog.set_config('Session_Preload_Libraries', 'x', false)"), ["sql_server"],
     initdb("SELECT pg_catalog.set_config('search_path', '', false)")),
    (initdb("DO $$ BEGIN PERFORM \"set_config\"('dynamic_library_path', '/x', true); END $$"), ["sql_server"],
     initdb("GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO app")),
    (initdb("SELECT set_config('pgbearer.endpoints', 'unix:/x', false)"), ["sql_server"],
     initdb("SELECT set_config('app.name', 'pgbearer.endpoints', false)")),
    (initdb("SELECT set_config('session_preload' || '_libraries', 'x', false)"), ["sql_unseen"],
     initdb("SELECT setting FROM pg_settings WHERE name = 'set_config'")),
    (initdb(r"SELECT set_config(E'session_preload\x5flibraries', 'x', false)"), ["sql_unseen"],
     initdb(r"SELECT set_config(E'search_path', 'x\x5f', false)")),
    (initdb("SELECT set_config(new_value => 'x', setting_name => 'session_preload_libraries', is_local => false)"),
     ["sql_unseen"], initdb("ALTER FUNCTION set_config(text) OWNER TO app")),
    (initdb("GRANT ALTER SYSTEM ON PARAMETER ssl TO app"), ["sql_server"], initdb("GRANT CREATE ON SCHEMA s TO app")),
    (initdb("UPDATE pg_catalog.pg_authid SET rolsuper = true"), ["sql_server"],
     initdb("SELECT rolname FROM pg_catalog.pg_authid")),
    (initdb("CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE 'C'"), ["sql_server"],
     initdb("CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql")),
    (initdb("CREATE EXTENSION plpython3u"), ["sql_server"], initdb("CREATE EXTENSION pg_trgm")),
    (initdb("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"), ["sql_server"],
     initdb("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY INVOKER AS 'SELECT 1'")),
    (initdb("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO app"), ["sql_server"],
     initdb("GRANT EXECUTE ON FUNCTION app.read_file(text) TO app")),
    (initdb(r'GRANT U&"\0070ostgres" TO app'), ["sql_unseen"], initdb(r'GRANT "\0070ostgres" TO app')),
    (initdb("-- x\rALTER ROLE app SUPERUSER"), ["sql_power"], initdb("-- x ALTER ROLE app SUPERUSER")),
    (initdb("CREATE ROLE evil IN ROLE alter SUPERUSER"), ["sql_power"], initdb("CREATE ROLE evil IN ROLE alter")),
    (initdb('UPDATE ONLY pg_catalog."pg_authid" SET rolsuper = true'), ["sql_server"],
     initdb('INSERT INTO t SELECT rolname FROM ONLY pg_catalog."pg_authid"')),
    (initdb("DELETE FROM pg_auth_members"), ["sql_server"], initdb("SELECT FROM pg_auth_members")),
    (initdb('ALTER ROLE app SET "session_preload_libraries" = \'x\''), ["sql_server"],
     initdb('ALTER ROLE app SET "work_mem" = \'x\'')),
    (initdb("CREATE EXTENSION IF NOT EXISTS plpython3u"), ["sql_server"],
     initdb("CREATE EXTENSION IF NOT EXISTS pg_trgm")),
    (initdb("CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE \"c\""), ["sql_server"],
     initdb("CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE \"sql\"")),
    (initdb("SELECT \"lo_export\"(1, '/x')"), ["sql_server"], initdb('SELECT "lo_export" FROM t')),
    (initdb("CREATE USER MAPPING FOR app SERVER s OPTIONS (password_required 'false')"), ["sql_server"],
     initdb("CREATE USER MAPPING FOR app SERVER s OPTIONS (password_required 'true')")),
    (initdb(nested("abcde", GRANT)), ["sql_power"], initdb(nested("abcde", "SELECT 1"))),
    (initdb(nested("abcdefghij", "SELECT 1")), ["sql_unseen"], initdb(nested("abcdefgh", "SELECT 1"))),
    (initdb("DO $$ BEGIN EXECUTE 'ALTER ROLE app ' || what; END $$"), ["sql_unseen"],
     initdb("DO $$ BEGIN EXECUTE 'ANALYZE t'; END $$")),
    (initdb("DO $$ BEGIN EXECUTE format('%s', what); END $$"), ["sql_unseen"],
     initdb("GRANT EXECUTE ON FUNCTION f TO app")),
    # Where it is
    (referred(), ["sql_unseen"], referred(kept(data={"x.sql": "SELECT 1"}))),
    (referred(kept(data={"y.sql": "SELECT 1"})), ["sql_unseen"], referred(kept(data={"x.sql": ""}))),
    (referred(kept(namespace="other", data={"x.sql": "SELECT 1"})), ["sql_unseen"],
     referred(kept(data={"x.sql": "SELECT 1"}), key="postInitTemplateSQLRefs")),
    (referred(kept(data={"x.sql": "SELECT 1"}), kind="secretRefs"), ["sql_unseen"],
     referred(kept("Secret", stringData={"x.sql": "SELECT 1"}), kind="secretRefs")),
    (referred(kept("Secret", data={"x.sql": "?"}), kind="secretRefs"), ["sql_unseen"],
     referred(kept("Secret", data=encoded("SELECT 1")), kind="secretRefs")),
    (referred(kept(data={"x.sql": GRANT})), ["sql_power"], referred(kept(data={"x.sql": "SELECT 1", "y.sql": GRANT}))),
    (referred(kept("Secret", data=encoded(GRANT)), kind="secretRefs"), ["sql_power"],
     referred(kept("Secret", data=encoded("x"), stringData={"x.sql": ""}), kind="secretRefs")),
    (both(referred(kept(data={"x.sql": GRANT})), referred()), ["sql_power"],
     both(referred(kept(data={"x.sql": "SELECT 1"})), referred())),
    (initdb("SELECT 1" + " " * 1024**2), ["sql_unseen"], initdb("SELECT 1" + " " * 1000)),
    (initdb(f"GRANT {','.join('abcdefghijk' * 100)} TO {','.join('lmnopqrs' * 10)}"), ["sql_unseen"],
     initdb(f"GRANT {','.join('abcdefghijk')} TO {','.join('lmnopqrs')}")),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "expected", "_"), PAIRS)
def test_what_is_found(objects: Objects, expected: list[str], _: Objects) -> None:
    assert codes(*objects) == expected


@pytest.mark.parametrize(("_", "__", "nearest"), PAIRS)
def test_the_nearest_that_is_well(_: Objects, __: list[str], nearest: Objects) -> None:
    assert codes(*nearest) == []


def test_what_sql_grants_counts_for_people() -> None:
    objects = person({"name": "breakglass", "superuser": True})
    objects[0]["spec"]["bootstrap"] = {"initdb": {"postInitSQL": ["GRANT breakglass TO alice"]}}
    (finding,) = findings(*objects)
    assert (finding.code, finding.path) == ("role_powerful", ("spec", "managed", "roles", 2))
    objects[0]["spec"]["bootstrap"] = {"initdb": {"postInitSQL": ["CREATE ROLE bob SUPERUSER IN ROLE people"]}}
    assert codes(*objects) == ["role_powerful", "sql_power"]


def test_a_finding_is_where_the_sql_is() -> None:
    (finding,) = findings(*referred(kept(data={"x.sql": GRANT})))
    assert (finding.what, finding.path) == ("ConfigMap/sql", ("data", "x.sql"))
    (finding,) = findings(*referred())
    assert finding.message == (
        "this SQL runs as postgres, and cannot be seen: x.sql of ConfigMap/sql is not among what was given"
    )


EVERY_CHECK = [(room, check) for room in (about_roles, about_sql) for check in room.CHECKS]


@pytest.mark.parametrize(("room", "check"), EVERY_CHECK, ids=lambda value: getattr(value, "__name__", ""))
def test_every_check_is_what_finds_some_case(monkeypatch: pytest.MonkeyPatch, room: Any, check: Any) -> None:
    monkeypatch.setattr(room, "CHECKS", tuple(each for each in room.CHECKS if each is not check))
    assert any(codes(*objects) != expected for objects, expected, _ in PAIRS)
