"""A real Vault over TLS whose content is in memory, opened: a key-value store that pods read as their service account.

It is of the last series whose licence is an open one. Its core and API are upstream's; its own command is not built,
which brings every storage, database and cloud.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.klite import programs
from tests.klite.cluster import Cluster
from tests.parts.authority import Authority
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until
from tests.parts.progress import step

__all__ = ["Vault", "VaultError"]

_READY_SECONDS: Final = 60.0
_STORE: Final = "secret"
_POLICY: Final = "databases"


class VaultError(Exception):
    """Vault did not start, or refused what the test asked of it."""


@dataclass
class Vault:
    """A running Vault. A context manager that stops it; what is in it is gone then."""

    url: str
    ca_file: Path
    process: Running
    _log: Path
    _token: str = field(default="", repr=False)
    _key: str = field(default="", repr=False)

    @classmethod
    def start(cls, folder: Path, authority: Authority) -> Self:
        """Start one, open it, and give it a store (version 2) at ``secret``.

        Args:
            folder: empty; for its log.
            authority: signs its certificate.

        Raises:
            GoError: it could not be built.
            VaultError: it ended.
            TimeUpError: it did not answer in a minute.
        """
        program = programs.vault()
        with step("Vault starts"):
            port, certificate, log = free_port(), authority.server("vault"), folder / "vault.log"
            files: list[str | Path] = ["-certificate", certificate.cert_file, "-key", certificate.key_file]
            process = launch([program, "-listen", f"127.0.0.1:{port}", *files], log=log)
            vault = cls(f"https://localhost:{port}", authority.ca_file, process, log)
            try:
                wait_until(vault._answers, _READY_SECONDS, "Vault to answer")
                vault._open()
            except BaseException:
                vault.stop()
                raise
        return vault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it."""
        self.process.stop()

    def put(self, path: str, values: Mapping[str, str]) -> None:
        """Make `values` what stands at `path` now."""
        self._ask("POST", f"{_STORE}/data/{path}", data=dict(values))

    def admit(self, cluster: Cluster, reviewer: str, *, role: str, namespace: str, account: str, path: str) -> None:
        """Let a service account read what is below `path`, by its token, for which Vault asks the API server.

        Args:
            cluster: whose accounts they are.
            reviewer: a token with which Vault may ask about others.
            role: what the account says that it wants to be.
            namespace: of the account.
            account: its name.
            path: in the store.
        """
        self._ask("POST", "sys/auth/kubernetes", type="kubernetes")
        known = {"kubernetes_host": cluster.url, "kubernetes_ca_cert": cluster.ca_file.read_text()}
        self._ask("POST", "auth/kubernetes/config", **known, token_reviewer_jwt=reviewer, disable_local_ca_jwt=True)
        rule = f'path "{_STORE}/data/{path}/*" {{ capabilities = ["read"] }}'
        self._ask("PUT", f"sys/policies/acl/{_POLICY}", policy=rule)
        bound = {"bound_service_account_names": [account], "bound_service_account_namespaces": [namespace]}
        self._ask("POST", f"auth/kubernetes/role/{role}", **bound, token_policies=[_POLICY], token_ttl="5m")

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """Until the end of the block nobody is answered."""
        self._ask("PUT", "sys/seal")
        try:
            yield
        finally:
            self._ask("PUT", "sys/unseal", key=self._key)

    def _open(self) -> None:
        made = self._ask("PUT", "sys/init", secret_shares=1, secret_threshold=1)
        self._key, self._token = made["keys"][0], made["root_token"]
        self._ask("PUT", "sys/unseal", key=self._key)
        self._ask("POST", f"sys/mounts/{_STORE}", type="kv", options={"version": "2"})
        wait_until(
            lambda: self._send("GET", f"{_STORE}/config").is_success, _READY_SECONDS, "the store to be versioned"
        )

    def _answers(self) -> bool:
        if not self.process.alive():
            raise VaultError(f"Vault ended\n{self._log.read_text(errors='replace')[-3000:]}")
        try:
            return self._send("GET", "sys/init").is_success
        except httpx.HTTPError:
            return False

    def _ask(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        reply = self._send(method, path, what)
        if not reply.is_success:
            raise VaultError(f"{method} {path}: {reply.status_code} {reply.text}")
        found: dict[str, Any] = reply.json() if reply.content else {}
        return found

    def _send(self, method: str, path: str, what: Mapping[str, Any] | None = None) -> httpx.Response:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        headers = {"x-vault-token": self._token} if self._token else {}
        return httpx.request(
            method, f"{self.url}/v1/{path}", json=what, headers=headers, verify=context, timeout=30, trust_env=False
        )
