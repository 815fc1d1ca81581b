"""The files that the module reads for a login over the network: which it can use, and when it reads them."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.fix_module_network import NetworkServer, waiting
from tests.lying_network import LyingNetwork
from tests.parts.authority import Certificate
from tests.parts.processes import wait_until

Spoil = Callable[[NetworkServer, Path], dict[str, str]]


def copy_of(file: Path, name: str, *, mode: int = 0o600, data: bytes | None = None) -> Path:
    """A file beside `file`, of the same owner."""
    copy = file.with_name(name)
    copy.unlink(missing_ok=True)
    copy.write_bytes(file.read_bytes() if data is None else data)
    os.chown(copy, file.stat().st_uid, file.stat().st_gid)
    copy.chmod(mode)
    return copy


def pipe_beside(file: Path) -> Path:
    """A pipe that nobody writes to, which whoever opens it to read waits for."""
    pipe = file.with_name("pipe")
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    os.chown(pipe, file.stat().st_uid, file.stat().st_gid)
    return pipe


def loop_beside(file: Path) -> Path:
    """A link that leads to itself."""
    link = file.with_name("loop")
    link.unlink(missing_ok=True)
    link.symlink_to(link.name)
    return link


def chain_cut_off(own: Certificate, ca: Path) -> bytes:
    """Our certificate and the beginning of its authority's."""
    return own.cert_file.read_bytes() + ca.read_bytes()[:200]


def with_passphrase(file: Path) -> Path:
    """The key, encrypted."""
    copy = copy_of(file, "secret.key")
    words = ["openssl", "pkey", "-in", str(file), "-aes256", "-passout", "pass:secret", "-out", str(copy)]
    subprocess.run(words, check=True, capture_output=True)
    return copy


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda own, ca: {"tls_certificate_file": ""}, "must all be set"),
        (lambda own, ca: {"tls_key_file": ""}, "must all be set"),
        (lambda own, ca: {"tls_ca_file": ""}, "must all be set"),
        (lambda own, ca: {"tls_certificate_file": "/nowhere.crt"}, "No such file or directory"),
        (lambda own, ca: {"tls_key_file": "/nowhere.key"}, "private key file .* No such file or directory"),
        (lambda own, ca: {"tls_ca_file": "/nowhere.crt"}, "authority file .* cannot be used"),
        (lambda own, ca: {"tls_key_file": str(copy_of(own.key_file, "empty.key", data=b""))}, "private key file"),
        (lambda own, ca: {"tls_key_file": str(with_passphrase(own.key_file))}, "private key file"),
        (lambda own, ca: {"tls_certificate_file": str(ca)}, "private key file .* cannot be used: key values mismatch"),
        (lambda own, ca: {"tls_certificate_file": str(own.key_file)}, "certificate file"),
        (lambda own, ca: {"tls_ca_file": str(own.key_file)}, "authority file"),
        (lambda own, ca: {"tls_ca_file": str(pipe_beside(ca))}, "authority file .* is no regular file"),
        (lambda own, ca: {"tls_certificate_file": str(pipe_beside(ca))}, "certificate file .* is no regular file"),
        (lambda own, ca: {"tls_key_file": str(pipe_beside(ca))}, "private key file .* is no regular file"),
        (lambda own, ca: {"tls_ca_file": str(ca.parent)}, "authority file .* is no regular file"),
        (lambda own, ca: {"tls_ca_file": str(loop_beside(ca))}, "authority file .* symbolic links"),
        (lambda own, ca: {"tls_ca_file": str(ca) + "x" * 300}, "authority file .* File name too long"),
        (lambda own, ca: {"tls_ca_file": str(ca / "x")}, "authority file .* Not a directory"),
        (
            lambda own, ca: {"tls_ca_file": str(copy_of(ca, "large.crt", mode=0o644, data=ca.read_bytes() * 1000))},
            "authority file .* is larger than 262144 bytes",
        ),
        (
            lambda own, ca: {
                "tls_ca_file": str(copy_of(ca, "cut.crt", mode=0o644, data=ca.read_bytes() + ca.read_bytes()[:200]))
            },
            "authority file .* cannot be used",
        ),
        (
            lambda own, ca: {
                "tls_certificate_file": str(copy_of(ca, "cut.crt", mode=0o644, data=chain_cut_off(own, ca)))
            },
            "certificate file .* cannot be used",
        ),
    ],
)
def test_files_of_ours_that_are_of_no_use_refuse_before_anybody_is_connected_to(
    network_server: NetworkServer,
    lying_network: LyingNetwork,
    spoil: Callable[[Certificate, Path], dict[str, str]],
    said: str,
) -> None:
    settings = spoil(network_server.own, network_server.authority.ca_file)
    network_server.ask_at(lying_network.endpoint(), **{"connect_timeout": "100ms", **settings})
    refusal = network_server.server.refusal()
    assert refusal.startswith("tls_files_unusable")
    assert_in_once(said, refusal)
    assert lying_network.came == 0


def assert_in_once(pattern: str, text: str) -> None:
    """However often it was tried again."""
    assert len(re.findall(pattern, text)) == 1, text


def test_files_are_read_once_a_login(network_server: NetworkServer, lying_network: LyingNetwork) -> None:
    key = copy_of(network_server.own.key_file, "once.key")
    lying_network.stop()
    settings = {"timeout": "60s", "connect_timeout": "60s", "tls_key_file": str(key)}
    network_server.ask_at(lying_network.endpoint(), **settings)
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(network_server.server.login)
        wait_until(lambda: waiting(network_server.server) == 1, 20, "the login to wait", pause=0.01)
        key.write_bytes(b"")
        lying_network.start()
        login.result(20).close()
    assert network_server.server.refusal().startswith("tls_files_unusable")


def test_files_that_do_not_fit_for_a_moment_are_read_again(
    network_server: NetworkServer, lying_network: LyingNetwork
) -> None:
    """A certificate and its key are two files, and nobody replaces both at once."""
    certificate = copy_of(network_server.own.cert_file, "moving.crt", mode=0o644)
    key = copy_of(network_server.own.key_file, "moving.key")
    successor = network_server.authority.client("successor", ["spiffe://prod.test/postgres/pay"])
    shutil.copyfile(successor.cert_file, certificate)
    files = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    network_server.ask_at(lying_network.endpoint(), timeout="60s", connect_timeout="60s", **files)
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(network_server.server.login)
        wait_until(lambda: waiting(network_server.server) == 1, 20, "the login to wait", pause=0.01)
        shutil.copyfile(successor.key_file, key)
        login.result(20).close()
