"""`pgbearer explain`, asked of a running service, of an audit, and about a token: why carol was refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fix_service import Service, Start
from tests.issuer import Issuer

PGBEARER = str(Path(sys.executable).with_name("pgbearer"))
RULES = [
    {
        "name": "readers",
        "any_role": ["app_readonly", "app_readwrite"],
        "databases": ["appdb"],
        "roles": ["app_readonly"],
    },
    {"name": "writers", "any_role": ["app_readwrite"], "databases": ["appdb"], "roles": ["app_readwrite"]},
    {"name": "leavers", "deny": True, "any_group": ["/leavers"], "ticket": "HR-7"},
]
CAROL: dict[str, Any] = {
    "preferred_username": "carol",
    "sub": "c-4f7c",
    "realm_access": {"roles": []},
    "groups": ["/staff"],
}


def explain(*words: object, stdin: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
    """What the command prints; a token never does."""
    command = [PGBEARER, "explain", *map(str, words)]
    text = stdin.decode() if isinstance(stdin, bytes) else stdin
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert "eyJ" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def service(start_service: Start) -> Service:
    return start_service(rules=RULES)


def carols(service: Service, **changes: Any) -> dict[str, Any]:
    """The answer to carol's login."""
    return service.login(token=service.issuer.token(**CAROL, **changes))


def test_carol_can_be_told_why_and_what_to_change(service: Service) -> None:
    refused = carols(service)
    done = explain("--decision", refused["decision_id"], "--socket", service.admin_socket)
    assert done.returncode == 0, done.stderr
    for said in (
        "carol (demo:c-4f7c) asked for the role app_readonly in the database appdb",
        "and was REFUSED: no_rule.",
        'The rule that came nearest is "readers"',
        "DOES NOT HOLD     any_role: it asks for the token role app_readonly or app_readwrite; the token's roles: none",
        f"At issuer demo ({service.issuer.url}), give carol the role app_readonly or app_readwrite",
        "The token's roles are the realm roles at the issuer",
        "FAILED  rules",
    ):
        assert said in done.stdout, done.stdout


def test_what_it_says_to_change_is_enough(service: Service) -> None:
    carols(service)
    given = service.issuer.token(**CAROL | {"realm_access": {"roles": ["app_readonly"]}})
    assert service.login(token=given)["decision"] == "allow"


def test_the_same_from_the_audit_and_from_a_pipe(service: Service) -> None:
    refused = carols(service)
    ref = service.decisions()[-1]["token_ref"]
    asked = explain("--decision", refused["decision_id"], "--socket", service.admin_socket).stdout
    assert explain("--token-ref", ref, "--audit", service.audit_file, "-c", service.file).stdout == asked
    pod = "".join(f"[pod/pgbearer-0] {line}\n" for line in service.audit_file.read_text().splitlines())
    words = ("--decision", refused["decision_id"], "--audit", "-", "-c", service.file)
    assert explain(*words, stdin=f"not a line of ours\n{pod}").stdout == asked


def test_an_audit_is_explained_by_the_rules_in_anybodys_checkout(service: Service, tmp_path: Path) -> None:
    refused = carols(service)
    checkout = tmp_path / "pgbearer.yaml"
    checkout.write_text(service.file.read_text())
    checkout.chmod(0o664)  # as a umask of 002 leaves it, which the service would not have
    done = explain("--decision", refused["decision_id"], "--audit", service.audit_file, "-c", checkout)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_policy_it_says_how_to_name_it(service: Service, tmp_path: Path) -> None:
    refused = carols(service)
    nowhere = tmp_path / "nonesuch.yaml"
    done = explain("--decision", refused["decision_id"], "--audit", service.audit_file, "-c", nowhere)
    assert done.returncode == 2
    assert f"there is no policy at {nowhere}" in done.stderr
    assert "/etc/pgbearer/config/pgbearer.yaml" in done.stderr


def test_every_refusal_can_be_explained(service: Service) -> None:
    tokens: dict[str, dict[str, Any]] = {
        "denied_by_rule": {"groups": ["/leavers"], "realm_access": {"roles": ["app_readonly"]}},
        "token_expired": {"exp": 1_000_300, "iat": 1_000_000},
        "audience_mismatch": {"aud": "db:other"},
    }
    for reason, claims in tokens.items():
        refused = service.login(token=service.issuer.token(**CAROL | claims))
        done = explain("--decision", refused["decision_id"], "--socket", service.admin_socket, "--json")
        explained = json.loads(done.stdout)
        assert explained["verdict"]["reason"] == refused["reason"] == reason
        assert explained["changes"]
        assert [step["outcome"] for step in explained["steps"]].count("failed") == 1


def test_a_deny_rule_is_named_with_its_ticket(service: Service) -> None:
    refused = service.login(token=service.issuer.token(groups=["/leavers"], realm_access={"roles": ["app_readonly"]}))
    told = explain("--decision", refused["decision_id"], "--socket", service.admin_socket).stdout
    assert 'The rule "leavers" (HR-7) matches, and refuses' in told
    assert "take alice out of the group /leavers" in told


def test_a_changed_policy_is_said_to_have_changed(service: Service) -> None:
    refused = carols(service)
    service.settle(rules=[*RULES, {"name": "staff", "any_group": ["/staff"], "databases": ["*"], "roles": ["app_*"]}])
    told = explain("--decision", refused["decision_id"], "--socket", service.admin_socket).stdout
    assert "and was REFUSED: no_rule." in told
    assert "The policy as it is now would allow it by staff." in told
    assert "The policy is not the one that decided" in told


@pytest.mark.parametrize(("roles", "code", "said"), [([], 1, "REFUSED: no_rule"), (["app_readonly"], 0, "was allowed")])
def test_a_token_is_judged_without_a_login(service: Service, roles: list[str], code: int, said: str) -> None:
    token = service.issuer.token(**CAROL | {"realm_access": {"roles": roles}})
    before = len(service.audit())
    words = ("--token-file", "-", "--role", "app_readonly", "--database", "appdb", "-c", service.file)
    done = explain(*words, stdin=token + "\n")
    assert done.returncode == code, done.stderr
    assert said in done.stdout
    assert "Nobody was logged in" in done.stdout
    assert len(service.audit()) == before


def test_a_bad_token_says_which_check_fails(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(service.issuer.token(**CAROL, aud="db:other"))
    done = explain("--token-file", file, "--role", "app_readonly", "--database", "appdb", "-c", service.file)
    assert done.returncode == 1
    assert "FAILED  audience   audience_mismatch: aud ['db:other'] lacks 'db:demo'" in done.stdout
    assert "not reached" in done.stdout


def test_an_issuer_that_cannot_be_reached_is_no_verdict(service: Service, issuer: Issuer) -> None:
    token = issuer.token(**CAROL)
    issuer.down()
    words = ("--token-file", "-", "--role", "app_readonly", "--database", "appdb", "-c", service.file)
    done = explain(*words, stdin=token)
    assert done.returncode == 3, done.stdout
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("--decision", "a", "--token-ref", "b"), 2),
        (("--token-file", "-"), 2),
        (("--decision", "nonesuch", "--socket", "SOCKET"), 2),
        (("--decision", "nonesuch/config", "--socket", "SOCKET"), 2),
        (("--decision", "nonesuch", "--audit", "AUDIT"), 2),
        (("--decision", "nonesuch", "--audit", "/nonesuch"), 2),
        (("--token-file", "/nonesuch", "--role", "r", "--database", "d", "-c", "CONFIG"), 2),
        (("--token-file", "-", "--role", "r", "--database", "d", "-c", "/nonesuch"), 2),
        (("--token-file", "-", "--role", "r", "--database", "d", "-c", "CONFIG", "--server", "x"), 2),
        (("--decision", "nonesuch", "--socket", "/nonesuch"), 3),
    ],
)
def test_what_cannot_be_explained_has_its_exit_code(shared_service: Service, words: tuple[str, ...], code: int) -> None:
    places = {
        "SOCKET": shared_service.admin_socket,
        "AUDIT": shared_service.audit_file,
        "CONFIG": shared_service.file,
    }
    done = explain(*(places.get(word, word) for word in words), stdin="a.b.c")
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
