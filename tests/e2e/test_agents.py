"""An assistant's tool server with a real Keycloak and PostgreSQL: it reads for its people, and writes nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import pgbearer
from pgbearer.client import (
    ClientSecret,
    ExchangeSource,
    FileSource,
    LoginRefusedError,
    StaticSource,
    TokenRefusedError,
    TokenSource,
    claims_in,
)
from tests.e2e.fix_agents import EXAMPLE, AgentStack

SCOPE = "openid db:demo"


def test_the_person_reads_and_writes(agent_stack: AgentStack) -> None:
    """What the agent must not have though bob has it."""
    own = agent_stack.log_in("bob", "pgbearer-device", SCOPE).compact
    with pgbearer.connect(agent_stack.conninfo, user="app_readwrite", token=own) as connection:
        connection.execute("INSERT INTO notes (note) VALUES ('written by bob')")
    assert agent_stack.decision()["actors"] == []


def test_the_agent_reads_for_the_person(agent_stack: AgentStack) -> None:
    bob = agent_stack.log_in("bob", "assistant")
    assert "made by make demo" in agent_stack.tools.read_notes(agent_stack.conninfo, agent_stack.exchange(bob))
    decision = agent_stack.decision()
    assert decision["decision"] == "allow"
    assert decision["rules"] == ["notes reads for people"]
    assert decision["identity"] == f"corp:{bob.payload['sub']}"
    assert decision["actors"] == ["notes"]


def test_the_agent_is_refused_when_it_tries_to_write(agent_stack: AgentStack) -> None:
    bob = agent_stack.exchange(agent_stack.log_in("bob", "assistant"))
    with pytest.raises(TokenRefusedError):
        agent_stack.tools.write_note(agent_stack.conninfo, bob, "written by the assistant")
    decision = agent_stack.decision()
    assert (decision["reason"], decision["rules"]) == ("agent_not_allowed", ["writers"])
    assert decision["actors"] == ["notes"]


def test_nor_does_it_write_with_what_it_has(agent_stack: AgentStack) -> None:
    bob = agent_stack.exchange(agent_stack.log_in("bob", "assistant"))
    with (
        pgbearer.connect(agent_stack.conninfo, user="app_readonly", source=bob) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("INSERT INTO notes (note) VALUES ('written by the assistant')")


def test_what_the_assistant_has_is_good_at_no_database(agent_stack: AgentStack) -> None:
    bob = agent_stack.log_in("bob", "assistant")
    with pytest.raises(TokenRefusedError):
        pgbearer.connect(agent_stack.conninfo, user="app_readonly", token=bob.compact)
    assert agent_stack.decision()["reason"] == "audience_mismatch"


def test_whoever_leaves_does_not_stay_through_the_agent(agent_stack: AgentStack) -> None:
    carol = agent_stack.exchange(agent_stack.log_in("carol", "assistant"))
    with pytest.raises(TokenRefusedError):
        agent_stack.tools.read_notes(agent_stack.conninfo, carol)
    decision = agent_stack.decision()
    assert (decision["reason"], decision["rules"], decision["actors"]) == ("denied_by_rule", ["leavers"], ["notes"])


def test_a_mapper_fewer_and_the_group_is_gone(agent_stack: AgentStack) -> None:
    """Why what an agent's token does not say proves nothing, and what `carries` vouches for."""
    carol = agent_stack.log_in("carol", "assistant")
    assert claims_in(agent_stack.exchange(carol).token())["groups"] == ["/leavers"]
    with agent_stack.without_the_groups():
        assert "groups" not in claims_in(agent_stack.exchange(carol).token())


def test_this_keycloak_says_who_acts_by_the_client_alone(agent_stack: AgentStack) -> None:
    """The day a newer one writes ``act``, this fails, and the page can say so."""
    bob = agent_stack.log_in("bob", "assistant")
    exchanged = claims_in(agent_stack.exchange(bob).token())
    assert (exchanged["sub"], exchanged["azp"]) == (bob.payload["sub"], "notes-tools")
    assert str(exchanged["jti"])[4:7] == "te:"
    assert "act" not in exchanged


def test_a_tool_server_that_is_not_meant_gets_nothing(agent_stack: AgentStack) -> None:
    """A token for the database is for no tool server: Keycloak exchanges only what names who asks."""
    own = agent_stack.log_in("bob", "pgbearer-device", SCOPE)
    with pytest.raises(httpx.HTTPStatusError):
        agent_stack.exchange(own).token()


def test_explain_shows_the_chain(agent_stack: AgentStack) -> None:
    source = StaticSource(agent_stack.exchange(agent_stack.log_in("bob", "assistant")).token())
    with pytest.raises(TokenRefusedError):
        pgbearer.connect(agent_stack.conninfo, user="app_readwrite", source=source)
    decision = agent_stack.decision()["decision_id"]
    program = Path(sys.executable).with_name("pgbearer")
    command = [program, "explain", "--decision", decision, "--socket", agent_stack.folder / "run/admin/admin.sock"]
    told = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    assert json.loads(told)["verdict"]["reason"] == "agent_not_allowed"
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert shown.splitlines()[1].startswith("The agent notes, acting for bob (corp:")


# the same with a source of the package's own


def exchanging(agent_stack: AgentStack, subject: TokenSource, folder: Path, **more: Any) -> ExchangeSource:
    """The tool server as `ExchangeSource`."""
    client = next(one for one in json.loads((EXAMPLE / "realm.json").read_text())["clients"] if "secret" in one)
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(client["secret"])
    proof = ClientSecret(client["clientId"], secret)
    usual: dict[str, Any] = {"scope": SCOPE, "ca_file": agent_stack.ca_file}
    return ExchangeSource(agent_stack.issuer, proof, subject, **usual | more)


def test_a_source_exchanges_for_each_person_by_themselves(agent_stack: AgentStack, tmp_path: Path) -> None:
    file = tmp_path / "person"
    file.touch(0o600)
    source = exchanging(agent_stack, FileSource(file), tmp_path)
    people = {who: agent_stack.log_in(who, "assistant") for who in ("alice", "bob")}
    for who in ("alice", "bob", "alice"):
        file.write_text(people[who].compact)
        with pgbearer.connect(agent_stack.conninfo, user="app_readonly", source=source) as connection:
            (user,) = connection.execute("SELECT system_user").fetchone() or ("",)
        assert user == f"oauth:corp:{people[who].payload['sub']}"
        assert agent_stack.decision()["actors"] == ["notes"]


def test_a_source_says_why_a_token_is_not_exchanged(agent_stack: AgentStack, tmp_path: Path) -> None:
    """It does not name this client in its audience: it was given for the database."""
    own = agent_stack.log_in("bob", "pgbearer-device", SCOPE)
    with pytest.raises(LoginRefusedError) as caught:
        exchanging(agent_stack, StaticSource(own.compact), tmp_path).token()
    assert "this client" in str(caught.value)
    assert own.compact not in str(caught.value)
