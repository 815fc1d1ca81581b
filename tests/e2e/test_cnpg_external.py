"""docs/cloudnativepg-vault.md by the real External Secrets and a real Vault, under logins that must all be good."""

import pytest

from tests.e2e.fix_cnpg_certificates import Logins
from tests.e2e.fix_cnpg_external import KINDS, FromVault
from tests.klite.cluster import ClusterError
from tests.klite.external_secrets import ExternalSecrets
from tests.parts.processes import wait_until

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

RENEW, BOTH, SIGN, ALONE = "renew", "trust-both", "sign-anew", "trust-new"
"""Steps of make-certificates."""


def test_the_secrets_are_what_the_pods_mount(from_vault: FromVault) -> None:
    for kind in KINDS:
        assert from_vault.is_there(kind)
        secret = from_vault.secret(kind)
        assert secret["type"] == "kubernetes.io/tls"
        assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt"}
        assert secret["metadata"]["labels"]["app.kubernetes.io/part-of"] == "pgbearer"


def test_people_log_in_with_the_certificates_from_vault(from_vault: FromVault) -> None:
    said = from_vault.databases.log_in("alice", "app_readonly", "SELECT current_user")
    assert (said.status, said.output.strip()) == (0, "app_readonly"), said
    decided = from_vault.databases.decisions()[-1]
    assert (decided["decision"], decided["peer_certificate"]) == ("allow", "pg.databases.svc")


@pytest.mark.story("certificates", "both", on="operator")
def test_what_is_renewed_in_vault_reaches_both(from_vault: FromVault) -> None:
    before = from_vault.pair("before")
    from_vault.change(RENEW)
    assert from_vault.admitted(before)  # the authority is the same


@pytest.mark.story("certificates", "authority", on="operator")
def test_a_new_authority_comes_by_vault(from_vault: FromVault) -> None:
    before = from_vault.pair("before")
    from_vault.change(BOTH, SIGN, ALONE)
    assert not from_vault.admitted(before)
    assert from_vault.admitted(from_vault.pair("after"))


def test_a_sealed_vault_changes_nothing(from_vault: FromVault) -> None:
    with Logins(from_vault.databases) as logins:
        with from_vault.vault.sealed():
            from_vault.fetch()
            wait_until(lambda: not any(from_vault.ready(kind) for kind in KINDS), 60, "External Secrets to see it")
            assert all(from_vault.is_there(kind) for kind in KINDS)
            logins.more()
        from_vault.fetch()
        wait_until(lambda: all(from_vault.ready(kind) for kind in KINDS), 60, "External Secrets to go on")
    assert logins.failures == []


def test_the_api_server_refuses_what_its_webhook_refuses(external_secrets: ExternalSecrets) -> None:
    """Both of a name's sources are left out, which the schema allows."""
    wrong = "{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: wrong}, spec: {}}"
    with pytest.raises(ClusterError, match=r'admission webhook "validate.externalsecret.external-secrets.io" denied'):
        external_secrets.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=wrong)
