"""Settings of issuers of workloads, by table: what one change to a good file leads to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.test_config_settings import found, write

__all__ = ["write"]

CLUSTER = """\
version: 1
issuers:
  pay:
    profile: kubernetes
    issuer: https://kubernetes.default.svc
    audience: db:pay
    identity: "pay:{namespace}:{service_account}:{service_account_uid}"
    claims: {namespace: string, service_account: string, service_account_uid: string, pod: string}
    kubernetes: {api_server: "https://10.0.0.1:6443"}
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: orders, databases: [appdb], roles: [app], when: claims.namespace == "shop"}
"""

CHANGES = {
    "good": ("", "", []),
    "a client": ("    audience", "    clients: [a]\n    audience", ["issuers.pay.clients: means nothing for profile"]),
    "an identity of the namespace": (
        ":{service_account}:{service_account_uid}",
        "",
        ["issuers.pay.identity: is the same for several service accounts"],
    ),
    "an identity of the name": (
        ":{service_account_uid}",
        "",
        ["issuers.pay.identity: warning: an account that is deleted and made anew is the same"],
    ),
    "an identity of sub": (
        "pay:{namespace}:{service_account}:{service_account_uid}",
        "{sub}",
        ["issuers.pay.identity: warning: an account that is deleted and made anew is the same"],
    ),
    "the API server's audience": (
        "audience: db:pay",
        "audience: https://kubernetes.default.svc",
        ["issuers.pay.audience: is one of the API server's own"],
    ),
    "another audience of the API server": (
        'kubernetes: {api_server: "https://10.0.0.1:6443"}',
        'kubernetes: {api_server: "https://10.0.0.1:6443", api_audiences: ["db:pay"]}',
        ["issuers.pay.audience: is one of the API server's own"],
    ),
    "a review by nobody": (
        'kubernetes: {api_server: "https://10.0.0.1:6443"}',
        "kubernetes: {token_review: true}",
        ["issuers.pay.kubernetes.token_review: needs `api_server`"],
    ),
    "a token for nobody": (
        'kubernetes: {api_server: "https://10.0.0.1:6443"}',
        "kubernetes: {token_file: /run/token}",
        ["issuers.pay.kubernetes.token_file: needs `api_server`"],
    ),
    "critical without review": (
        "    kubernetes",
        "    critical: {max_age: 10m}\n    kubernetes",
        ["issuers.pay.critical: needs `kubernetes.token_review: true`"],
    ),
    "critical with clients": (
        '    kubernetes: {api_server: "https://10.0.0.1:6443"}',
        (
            "    critical: {clients: [a], acr: [mfa]}\n"
            '    kubernetes: {api_server: "https://10.0.0.1:6443", token_review: true}'
        ),
        ["issuers.pay.critical.clients: means nothing", "issuers.pay.critical.acr: means nothing"],
    ),
    "another profile": (
        "profile: kubernetes",
        "profile: rfc9068",
        ["issuers.pay.kubernetes: means nothing for profile rfc9068", "issuers.pay.clients: warning", "hold {sub}"],
    ),
}


@pytest.mark.parametrize(("old", "new", "problems"), CHANGES.values(), ids=CHANGES)
def test_change(old: str, new: str, problems: list[str], write: Callable[[str], Path]) -> None:
    assert old in CLUSTER
    said = found(write(CLUSTER.replace(old, new, 1) if old else CLUSTER))
    assert len(said) == len(problems), said
    assert all(any(problem in one for one in said) for problem in problems), said
