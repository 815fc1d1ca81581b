"""Settings of issuers of workloads, by table: what one change to a good file leads to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.fix_settings import found

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
        "kubernetes: {review: always}",
        ["issuers.pay.kubernetes.review: needs `api_server`"],
    ),
    "a token for nobody": (
        'kubernetes: {api_server: "https://10.0.0.1:6443"}',
        "kubernetes: {token_file: /run/token}",
        ["issuers.pay.kubernetes.token_file: needs `api_server`"],
    ),
    "critical without review": (
        "    kubernetes",
        "    critical: {max_age: 10m}\n    kubernetes",
        ["issuers.pay.critical: needs `kubernetes.review: critical` (or always)"],
    ),
    "critical with clients": (
        '    kubernetes: {api_server: "https://10.0.0.1:6443"}',
        (
            "    critical: {clients: [a], acr: [mfa]}\n"
            '    kubernetes: {api_server: "https://10.0.0.1:6443", review: always}'
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


DOMAIN = """\
version: 1
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay
    clients: [cli]
    identity: "corp:{sub}"
  prod:
    profile: spiffe
    issuer: spiffe://prod.example
    audience: db:pay
    identity: "{sub}"
    claims: {path: string}
    spiffe: {bundle_url: "https://spire.prod.example:8443", iss: "https://oidc.prod.example"}
  partner:
    profile: spiffe
    issuer: spiffe://partner.example
    audience: db:pay
    identity: "{sub}"
    claims: {path: string}
    spiffe: {bundle_url: "https://spire.partner.example:8443"}
    behind: {corp: [appdb]}
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: people, issuers: [corp], databases: [appdb], roles: [app], any_role: [db]}
  - {name: orders, issuers: [prod, partner], databases: [appdb], roles: [app], when: claims.path == "/orders"}
"""
BUNDLE = 'bundle_url: "https://spire.partner.example:8443"'

DOMAIN_CHANGES = {
    "good": ("", "", []),
    **{
        f"trust domain {value}": (
            "spiffe://partner.example\n",
            f"{value}\n",
            ["issuers.partner.issuer: must be a trust domain"],
        )
        for value in (
            "spiffe://partner.example/",
            "spiffe://Partner.example",
            "https://partner.example",
            "spiffe://a:1",
        )
    },
    "a trust domain as another's issuer": (
        "https://sso.example.com/realms/corp",
        "spiffe://corp.example",
        ["issuers.corp.issuer: must be an https address for profile keycloak"],
    ),
    "no bundle": (f"    spiffe: {{{BUNDLE}}}\n", "", ["issuers.partner.spiffe: needs one of bundle_file, bundle_url"]),
    "two bundles": (BUNDLE, f"{BUNDLE}, bundle_file: /nowhere", ["spiffe: needs one of", "cannot be read"]),
    "a file that is not there": (BUNDLE, "bundle_file: /nowhere", ["spiffe.bundle_file: /nowhere cannot be read"]),
    "a socket's folder that is not there": (
        BUNDLE,
        "workload_api: /nowhere/s",
        ["spiffe.workload_api: /nowhere cannot be read"],
    ),
    "a socket's folder that anybody can write": (
        BUNDLE,
        "workload_api: /tmp/api.sock",
        ["issuers.partner.spiffe.workload_api: not trusted: /tmp is writable by group or others"],
    ),
    "the same trust domain twice": (
        "spiffe://partner.example\n",
        "spiffe://prod.example\n",
        ['the same iss as issuer "prod"', 'could yield an identity of issuer "prod"'],
    ),
    "the iss of people": (
        "https://oidc.prod.example",
        "https://sso.example.com/realms/corp",
        ['issuers.corp.issuer: the same iss as issuer "prod"'],
    ),
    "the iss of people, but for a slash": (
        "https://oidc.prod.example",
        "https://sso.example.com/realms/corp/",
        ['issuers.corp.issuer: the same iss as issuer "prod"'],
    ),
    "the bundle of another trust domain": (
        BUNDLE,
        'bundle_url: "https://spire.prod.example:8443"',
        ['issuers.partner.spiffe.bundle_url: the bundle of issuer "prod"; each trust domain has its own'],
    ),
    "the iss of another trust domain": (
        BUNDLE,
        f'{BUNDLE}, iss: "https://oidc.prod.example"',
        ['issuers.partner: has the same iss as issuer "prod"'],
    ),
    "behind nobody": ("    behind: {corp: [appdb]}\n", "", ["issuers.partner: warning: no HBA line can name"]),
    "a signature that no SVID has": (
        "    behind:",
        "    algorithms: [EdDSA]\n    behind:",
        ["issuers.partner.algorithms: no JWT-SVID is signed so"],
    ),
    "a client": ("    behind:", "    clients: [a]\n    behind:", ["issuers.partner.clients: means nothing"]),
    "spiffe of people": (
        "    clients: [cli]\n",
        "    clients: [cli]\n    spiffe: {bundle_file: /nowhere}\n",
        ["issuers.corp.spiffe: means nothing for profile keycloak", "cannot be read"],
    ),
}


@pytest.mark.parametrize(("old", "new", "problems"), DOMAIN_CHANGES.values(), ids=DOMAIN_CHANGES)
def test_change_of_a_trust_domain(old: str, new: str, problems: list[str], write: Callable[[str], Path]) -> None:
    assert old in DOMAIN
    said = found(write(DOMAIN.replace(old, new, 1) if old else DOMAIN))
    assert len(said) == len(problems), said
    assert all(any(problem in one for one in said) for problem in problems), said
