"""Networks in `from`: what can never hold an address must not pass for a rule."""

import pytest

from pgbearer.config.checks import networks_are_networks
from tests.unit.logins import ask, compiled, settings

_IN = "{{name: branch, deny: true, from: ['{}']}}"


@pytest.mark.parametrize(
    ("network", "hint"),
    [
        ("::ffff:10.0.0.0/104", "write 10.0.0.0/8"),
        ("::ffff:a01:203/128", "write 10.1.2.3/32"),
        ("::ffff:0:0/96", "write 0.0.0.0/0"),
    ],
)
def test_ipv4_in_ipv6_is_refused(network: str, hint: str) -> None:
    """A deny rule for it would match nobody: such an address is compared as the IPv4 address that it is."""
    (problem,) = networks_are_networks(settings(_IN.format(network)))
    assert problem.is_error
    assert problem.path == ("rules", 0, "from", 0)
    assert problem.hint == hint


@pytest.mark.parametrize("network", ["10.0.0.0/8", "::/0", "2001:db8::/32", "::1/128", "::fffe:0:0/96"])
def test_every_other_network_is_one(network: str) -> None:
    assert not [*networks_are_networks(settings(_IN.format(network)))]


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"])
def test_what_the_hint_says_matches_however_the_address_is_written(address: str) -> None:
    policy = compiled("{name: all, databases: [appdb], roles: [app_readonly]}", _IN.format("10.0.0.0/8"))
    assert ask(policy, address=address).rule == "branch"  # type: ignore[union-attr]
