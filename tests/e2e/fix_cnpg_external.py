"""A Cluster and its service with certificates that External Secrets brings from Vault: docs/cloudnativepg-vault.md."""

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.cnpg.manifests import CNPG
from tests.cnpg.own import Site, own
from tests.e2e.fix_cnpg_certificates import Certified, shell
from tests.e2e.fix_cnpg_login import NAMESPACE, running_service
from tests.e2e.fix_operator import OperatorStage
from tests.e2e.reader import Page
from tests.klite.cluster import Cluster
from tests.klite.external_secrets import ExternalSecrets
from tests.klite.vault import Vault
from tests.parts.authority import Authority
from tests.parts.processes import wait_until

__all__ = ["KINDS", "FromVault", "external_secrets", "from_vault", "store"]

KINDS: Final = ("service", "client")
_PAGE: Final = Page("cloudnativepg-vault.md")
_FILES: Final[dict[str, str]] = dict(re.findall(r"```yaml (\S+)\n(.*?)```", _PAGE.text, re.DOTALL))
_STORE, _NOW = _PAGE.blocks()
_MAKE: Final = CNPG / "components/certificates-secret/make-certificates"
_ASKING: Final = "external-secrets"
"""The namespace, and in it the account, that Vault is asked as."""
_PATH: Final = "databases/pgbearer"
_SECONDS: Final = 60.0


@dataclass
class FromVault(Certified):
    """As anywhere, but a step is one of make-certificates, and what it makes is written into Vault."""

    vault: Vault

    def run(self, commands: str) -> str:
        """Do a step (``renew``, ``trust-both`` ...), write what it has made into Vault, and see that in the Secrets."""
        _make(self.folder, self.vault, commands)
        said = self.fetch()
        wait_until(lambda: all(self.is_there(kind) for kind in KINDS), _SECONDS, "what was made to be in the Secrets")
        return said

    def fetch(self) -> str:
        """Have it read now, by the command of the page."""
        return super().run(_NOW)

    def is_there(self, kind: str) -> bool:
        """Whether the Secret is what was made last."""
        same: bool = self.secret(kind)["data"] == _made(self.folder, kind)
        return same

    def secret(self, kind: str) -> dict[str, Any]:
        """As it is, its data decoded."""
        found = self.databases.stage.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/pgbearer-{kind}-tls")
        found["data"] = {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
        return found

    def ready(self, kind: str) -> bool:
        """Whether External Secrets says that the last reading went well."""
        path = f"/apis/external-secrets.io/v1/namespaces/{NAMESPACE}/externalsecrets/pgbearer-{kind}-tls"
        (said,) = (
            one for one in self.databases.stage.cluster.get(path)["status"]["conditions"] if one["type"] == "Ready"
        )
        return bool(said["status"] == "True")


@pytest.fixture(scope="module")
def external_secrets(
    operator_stage: OperatorStage, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExternalSecrets]:
    """External Secrets with its webhook; no store yet."""
    with ExternalSecrets.start(operator_stage.cluster, tmp_path_factory.mktemp("external-secrets"), authority) as found:
        yield found


@pytest.fixture(scope="module")
def store(
    external_secrets: ExternalSecrets, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Vault]:
    """A Vault with a role for External Secrets, and the page's ClusterSecretStore for it; nothing is in it."""
    cluster, folder = external_secrets.cluster, tmp_path_factory.mktemp("vault")
    with Vault.start(folder, authority) as vault:
        _accounts(cluster)
        reviewer = cluster.token(_ASKING, "vault", seconds=3600)
        vault.admit(cluster, reviewer, role="databases", namespace=_ASKING, account=_ASKING, path=_PATH)
        ours = _FILES["store.yaml"].replace("https://vault.corp.example", vault.url)
        assert vault.url in ours
        (folder / "store.yaml").write_text(ours)
        shutil.copy(authority.ca_file, folder / "ca.crt")
        shell(_STORE, folder, cluster)
        yield vault
        cluster.kubectl("delete", "clustersecretstore", "vault")


@pytest.fixture(scope="module")
def from_vault(
    operator_stage: OperatorStage, store: Vault, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FromVault]:
    """The page's folder, with certificates made by make-certificates that are in Vault."""
    folder = tmp_path_factory.mktemp("own-store")
    _make(folder, store, "renew")
    page = yaml.safe_load(_FILES["own-store/kustomization.yaml"])
    resources, components = (
        [each.removeprefix("../cnpg/") for each in page[what]] for what in ("resources", "components")
    )
    (folder / "own").mkdir()
    manifests = own(
        folder / "own", site, resources, components, policy="base/pgbearer.yaml", namespace=page["namespace"]
    )
    with running_service(operator_stage, site, manifests) as databases:
        yield FromVault(databases, folder, store)


def _accounts(cluster: Cluster) -> None:
    """External Secrets' own, and one with which Vault may ask whose a token is."""
    cluster.namespace(_ASKING)
    for account in (_ASKING, "vault"):
        cluster.account(_ASKING, account)
    binding = ["clusterrolebinding", "vault", "--clusterrole=system:auth-delegator"]
    cluster.kubectl("create", *binding, f"--serviceaccount={_ASKING}:vault")


def _make(folder: Path, vault: Vault, step: str) -> None:
    subprocess.run([_MAKE, folder, step], check=True, capture_output=True)
    for kind in KINDS:
        made = _made(folder, kind)
        values = {"certificate": made["tls.crt"], "private_key": made["tls.key"], "issuing_ca": made["ca.crt"]}
        vault.put(f"{_PATH}/{kind}", values)


def _made(folder: Path, kind: str) -> dict[str, str]:
    """As the Secret has them, what make-certificates has made last."""
    files = {"tls.crt": f"{kind}.crt", "tls.key": f"{kind}.key", "ca.crt": "trust.crt"}
    return {name: (folder / "made" / file).read_text() for name, file in files.items()}
