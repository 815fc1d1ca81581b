"""What a proxy says of itself is shown, whatever it is, and never obeyed: root asks those of others too."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.cli import doors

NOW = 1_800_000_000.0
GOOD: dict[str, Any] = {
    "name": "appdb",
    "listening": ["/run/x/appdb:5432"],
    "connections": 2,
    "draining": False,
    "started_at": NOW - 60,
    "identities": [{"local_user": "web", "user": "corp:1", "expires_at": NOW + 60}],
    "last_error": None,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
SAID = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(GOOD, JSON)
    | {
        "identities": JSON
        | st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(("local_user", "user", "expires_at"), JSON)))
    },
)


def shown(capsys: pytest.CaptureFixture[str], *said: dict[str, Any]) -> str:
    doors.table(said, NOW)
    return capsys.readouterr().out


def test_a_good_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    row = shown(capsys, GOOD).splitlines()[2]
    assert row.split(" | ")[:3] == ["appdb   ", "/run/x/appdb:5432", "2      "]
    assert "web: corp:1" in row
    assert "2027-01-15 08:01:00 UTC (in 1 min 0 s)" in row


@pytest.mark.parametrize("wrong", [7, "x", {"a": 1}, [7], None, True, 1e308, -1e308, float("nan"), "\x1b[2J", [[]]])
@pytest.mark.parametrize("name", GOOD)
def test_one_that_is_wrong_somewhere_is_shown(name: str, wrong: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, {**GOOD, name: wrong}, GOOD)
    assert out.endswith("(2 rows)\n")
    assert "\x1b" not in out


def test_no_cell_is_longer_than_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(shown(capsys, {**GOOD, "last_error": "x" * 1_000_000})) < 10_000


@given(said=SAID)
def test_whatever_it_says_is_one_row(said: dict[str, Any]) -> None:
    row = doors.row(json.loads(json.dumps(said)), NOW)
    assert len(row) == 7
    assert all(cell.isprintable() for cell in row)
