"""What servers on other hosts must agree on with the listener and each other before a file is used."""

import pytest

from pgbearer.config.about_listening import LISTENING_CHECKS
from pgbearer.config.settings import Settings
from pgbearer.config.yaml_file import parse_yaml

HEAD = """
version: 1
issuers:
  corp: {profile: keycloak, issuer: https://sso.example.com/realms/corp, audience: db:pay-eu, clients: [cli],
         identity: "corp:{sub}"}
defaults: {session: {until: fixed, max: 10h}}
rules: []
"""
TLS = (
    "tls: {address: '10.0.0.5:8432', certificate_file: /etc/pgbearer/tls.crt, key_file: /etc/pgbearer/tls.key, "
    "client_ca_file: /etc/pgbearer/servers.crt}"
)


def problems(servers: str, listen: str = TLS) -> list[str]:
    """What the checks find, as ``severity path: message``."""
    document = parse_yaml(f"{HEAD}\nservers: {{{servers}}}\nlisten: {{{listen}}}\n")
    assert not document.problems, document.problems
    settings = Settings.model_validate(document.value)
    found = [problem for check in LISTENING_CHECKS for problem in check(settings)]
    return [f"{problem.severity} {'.'.join(map(str, problem.path))}: {problem.message}" for problem in found]


@pytest.mark.parametrize(
    "servers",
    [
        "pay: {certificate: 'spiffe://prod.example.com/ns/pay/sa/postgres'}",
        "pay: {certificate: pay-eu-1.db.example.com}, shop: {certificate: shop}",
        "pay: {certificate: pay_eu.example.com}, local: {uid: postgres}",
        "pay: {certificate: 'spiffe://prod/a'}, shop: {certificate: 'spiffe://prod/a/b'}",
    ],
)
def test_sound(servers: str) -> None:
    assert problems(servers) == []


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://prod",
        "spiffe://prod/",
        "spiffe://prod/a/",
        "spiffe://prod//a",
        "spiffe://prod/../a",
        "spiffe://PROD/a",
        "spiffe://prod:1/a",
        "SPIFFE://prod/a",
        "https://prod/a",
        "*.example.com",
        "*",
        "Pay.example.com",
        "pay.example.com.",
        ".example.com",
        "pay..example.com",
        "-pay.example.com",
        "pay example",
        "päy.example.com",
        "pay,shop",
        "a" * 64 + ".example.com",
        "spiffe://prod/a\n",
    ],
)
def test_a_name_that_no_certificate_is_compared_with_is_refused(name: str) -> None:
    (said,) = problems(f"pay: {{certificate: {name!r}}}".replace("'", '"'))
    assert said == "error servers.pay.certificate: must be a SPIFFE ID or a DNS name"


def test_one_certificate_is_of_one_server() -> None:
    said = problems("pay: {certificate: db.example.com}, shop: {certificate: db.example.com}")
    assert said == ['error servers.shop.certificate: the certificate of "pay"']


@pytest.mark.parametrize("key", ["uid: 26", "socket: /run/pgbearer/login/x.sock", "group: postgres"])
def test_a_server_is_known_by_one_thing(key: str) -> None:
    (said,) = problems(f"pay: {{certificate: db.example.com, {key}}}")
    assert said.startswith(f"error servers.pay.{key.partition(':')[0]}: means nothing")


def test_a_certificate_without_a_listener_is_an_error() -> None:
    said = problems("pay: {certificate: db.example.com}", listen="")
    assert said == ["error servers.pay.certificate: nothing listens for servers with certificates"]


def test_a_listener_that_nobody_may_use_is_told_of_and_no_error() -> None:
    """The last server with a certificate must be revocable by taking it out."""
    said = problems("local: {uid: postgres}")
    assert said == ["warning listen.tls: no server has a certificate, so nobody may ask here"]
