"""`pgbearer connect` takes an upstream of client.toml by its name, as `psql`, `run` and `proxy` do."""

import json

from tests.integration.fix_local import HOLDER, Local


def test_an_upstream_is_a_place_to_connect_to(local: Local) -> None:
    said = local.run("connect", "appdb", "--json")
    assert (said.returncode, said.stderr) == (0, "")
    found = json.loads(said.stdout)
    assert (found["system_user"], found["current_user"], found["database"]) == (HOLDER, "app", "appdb")


def test_a_name_that_is_none_is_told_with_what_is_near(local: Local) -> None:
    said = local.run("connect", "apdb")
    assert (said.returncode, said.stdout) == (2, "")
    assert "no upstream is called 'apdb'; did you mean \"appdb\"?" in said.stderr
    assert '"service=appdb"' in said.stderr


def test_the_issuer_of_an_upstreams_behind_counts(local: Local) -> None:
    local.write(f'[upstreams.appdb]\nbehind = "https://other.test"\nconninfo = "{local.conninfo}"\n')
    said = local.run("connect", "appdb")
    assert (said.returncode, said.stdout) == (2, "")
    assert "https://other.test" in said.stderr
