"""Every hop of ours with a key exchange that a quantum computer is not known to break, and a token it cannot forge."""

import contextlib
import ssl
from collections.abc import Iterator

import psycopg
import pytest

import pgbearer
from pgbearer.client import TokenRefusedError
from pgbearer.http import FetchError, SyncFetcher
from tests.e2e.fix_debian_server import INSIDE
from tests.e2e.fix_post_quantum import GROUP, PostQuantum
from tests.issuer import SigningKey
from tests.parts.processes import wait_until

pytestmark = pytest.mark.timeout(400)

SERVE = f"""
import runpy, socket, sys
make = runpy.run_path("{INSIDE}/python/pgbearer/service/tls_context.py")["server_context"]
own = "{INSIDE}/server/debian-18"
context = make(own + ".crt", own + ".key", "{INSIDE}/python/ca.crt")
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    print("listening", flush=True)
    connection, _ = listener.accept()
    try:
        context.wrap_socket(connection, server_side=True).recv(1)
    except OSError as error:
        print(error, flush=True)
"""
FETCH = """
import sys
from pathlib import Path
from pgbearer.http import SyncFetcher
with SyncFetcher(Path(sys.argv[1]), timeout=20) as fetcher:
    print(fetcher.get(sys.argv[2]).status)
"""


def test_a_whole_login(post_quantum: PostQuantum) -> None:
    """The key exchange, because the server knows no other; the token, because the issuer's settings name no other."""
    token = post_quantum.issuer.token()
    assert len(token) > 6 * 1024
    with pgbearer.connect(post_quantum.server.conninfo("app_readonly"), token=token) as connection:
        row = connection.execute(
            "SELECT version, current_user FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == ("TLSv1.3", "app_readonly")
    assert '"decision":"allow"' in post_quantum.audit()


def test_the_group_is_the_one(post_quantum: PostQuantum) -> None:
    where = ("-starttls", "postgres", "-connect", f"localhost:{post_quantum.server.port}")
    shown = post_quantum.run("openssl", "s_client", "-brief", *where)
    assert f"group: {GROUP}" in shown.stdout + shown.stderr, shown


def test_psql_comes_in_by_it(post_quantum: PostQuantum) -> None:
    """As far as the server asks for a token: then TLS stands."""
    said = _psql(post_quantum)
    assert "OAuth" in said or "oauth" in said, said


@pytest.mark.parametrize("groups", ["X25519", "P-256:P-384", "MLKEM768"])
def test_nothing_else_comes_in(post_quantum: PostQuantum, groups: str) -> None:
    said = _psql(post_quantum, groups=groups)
    assert "SSL error" in said or "alert" in said, said


def test_a_token_signed_otherwise_is_refused(post_quantum: PostQuantum) -> None:
    rsa = SigningKey("rsa", "RS256")
    post_quantum.issuer.keys.insert(0, rsa)
    token = post_quantum.issuer.token(key=rsa, header={"kid": "rsa", "alg": "RS256"})
    with pytest.raises(TokenRefusedError):
        pgbearer.connect(post_quantum.server.conninfo("app_readonly"), token=token)
    assert "algorithm_not_allowed" in post_quantum.server.log


def test_a_token_longer_than_the_module_takes_is_refused(post_quantum: PostQuantum) -> None:
    """The default, 16 KiB, has room for three of ML-DSA-87."""
    token = post_quantum.issuer.token(padding="x" * 8 * 1024)
    assert len(token) > 16 * 1024
    with pytest.raises(TokenRefusedError):
        pgbearer.connect(post_quantum.server.conninfo("app_readonly"), token=token)
    assert "token_too_large" in post_quantum.server.log


def test_the_driver_has_it(post_quantum: PostQuantum) -> None:
    """psycopg's own OpenSSL, whatever the system's is: else `test_a_whole_login` could not be."""
    with pytest.raises(psycopg.OperationalError, match=r"(?i)oauth"):
        psycopg.connect(post_quantum.server.conninfo("app_readonly"))


def test_keys_and_deciders_are_fetched_by_it(post_quantum: PostQuantum) -> None:
    """The one fetcher, for issuers and deciders alike, with a Python whose OpenSSL has it."""
    listener, port = post_quantum.listen(GROUP)
    try:
        ca_file, url = f"{INSIDE}/python/ca.crt", f"https://127.0.0.1:{port}/"
        fetched = post_quantum.run("python3", "-c", FETCH, ca_file, url)
        assert fetched.stdout.strip() == "200", fetched
        refused = post_quantum.run("python3", "-c", FETCH, ca_file, url, groups="X25519")
        assert refused.returncode != 0
        assert "FetchError" in refused.stderr, refused
    finally:
        listener.stop()


def test_the_module_asks_by_it(post_quantum: PostQuantum) -> None:
    """A service that knows no other group is given the request; one that knows another curve alone is not."""
    for groups, reason in ((GROUP, "service_timeout"), ("P-521", "tls_failed")):
        listener, port = post_quantum.listen(groups)
        try:
            before = len(post_quantum.server.log)
            endpoint, token = f"tcp://127.0.0.1:{port}?hostname=localhost", post_quantum.issuer.token()
            with _asking_at(post_quantum, endpoint), pytest.raises(TokenRefusedError):
                pgbearer.connect(post_quantum.server.conninfo("app_readonly"), token=token)
            assert f"OAuth login refused: {reason}" in post_quantum.server.log[before:]
        finally:
            listener.stop()


@pytest.mark.parametrize("groups", [(), ("-groups", GROUP)], ids=["of its own accord", "alone"])
def test_the_service_is_asked_by_it(post_quantum: PostQuantum, groups: tuple[str, ...]) -> None:
    """Its own context, by a Python whose OpenSSL has it."""
    listener, port = post_quantum.python(SERVE)
    try:
        pair = ("-cert", f"{INSIDE}/server/debian-18.crt", "-key", f"{INSIDE}/server/debian-18.key")
        where = ("-connect", f"127.0.0.1:{port}")
        shown = post_quantum.run("openssl", "s_client", "-brief", *groups, *pair, *where)
        assert f"group: {GROUP}" in shown.stdout + shown.stderr, shown
    finally:
        listener.stop()


def test_this_python_says_whether_it_has_it(post_quantum: PostQuantum) -> None:
    """OpenSSL 3.5 is where it begins: what the page says is what happens."""
    listener, port = post_quantum.listen(GROUP)
    try:
        with SyncFetcher(post_quantum.server.ca_file, timeout=20) as fetcher:
            if ssl.OPENSSL_VERSION_INFO >= (3, 5):
                assert fetcher.get(f"https://127.0.0.1:{port}/").status == 200
            else:
                with pytest.raises(FetchError):
                    fetcher.get(f"https://127.0.0.1:{port}/")
    finally:
        listener.stop()


def _psql(post_quantum: PostQuantum, groups: str | None = None) -> str:
    """What psql in the root says to a login for which it has no token."""
    where = f"host=localhost port={post_quantum.server.port} dbname=appdb user=app_readonly"
    tls = f"sslmode=verify-full sslrootcert={INSIDE}/python/ca.crt require_auth=oauth"
    done = post_quantum.run("psql", "-X", "-d", f"{where} {tls}", "-c", "SELECT 1", groups=groups)
    assert done.returncode == 2
    return done.stderr


@contextlib.contextmanager
def _asking_at(post_quantum: PostQuantum, endpoint: str) -> Iterator[None]:
    """The module asks there, with the server's own certificate, and afterwards where it asked before."""
    files = {"certificate": "server/debian-18.crt", "key": "server/debian-18.key", "ca": "python/ca.crt"}
    settings = {f"pgbearer.tls_{name}_file": f"{INSIDE}/{file}" for name, file in files.items()}
    settings |= {"pgbearer.endpoints": endpoint, "pgbearer.timeout": "2s"}
    before = {name: post_quantum.sql(f"SHOW {name}") for name in settings}
    for name, value in settings.items():
        post_quantum.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    post_quantum.sql("SELECT pg_reload_conf()")
    wait_until(lambda: post_quantum.sql("SHOW pgbearer.endpoints") == endpoint, 20, "the server to reload")
    try:
        yield
    finally:
        for name, value in before.items():
            post_quantum.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        post_quantum.sql("SELECT pg_reload_conf()")
        wait_until(lambda: post_quantum.sql("SHOW pgbearer.endpoints") != endpoint, 20, "the server to reload")
