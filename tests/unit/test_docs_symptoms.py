"""The index of the runbooks: with an alert or a reason one finds a page, and a first command that is on it."""

import re
from pathlib import Path

import pytest
import yaml

from docs import stories, symptoms
from docs.generate import module_reasons
from docs.symptoms import Symptom
from pgbearer.wire import Reason

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "cnpg/components/monitoring/alerts.yaml"
EVERY = symptoms.symptoms()


def named(of: str) -> list[str]:
    return [name for symptom in EVERY for name in getattr(symptom, of)]


@pytest.mark.parametrize("symptom", EVERY, ids=lambda symptom: str(symptom.seen))
def test_the_first_command_stands_on_the_page(symptom: Symptom) -> None:
    assert symptom.first in (ROOT / "docs" / symptom.page).read_text(encoding="utf-8")


def test_every_alert_leads_to_one_page() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["spec"]["groups"]
    assert sorted(named("alerts")) == sorted(rule["alert"] for rule in group["rules"])


def test_the_reasons_are_reasons() -> None:
    known = {reason.value for reason in Reason} | {name for name, _, _ in module_reasons()}
    assert set(named("reasons")) <= known
    assert len(set(named("reasons"))) == len(named("reasons"))


def test_a_reason_that_pages_somebody_is_in_the_index() -> None:
    (expression,) = re.findall(
        r"alert: PgbearerFaults\n\s+expr: .*reason=~\"([^\"]+)\"", ALERTS.read_text(encoding="utf-8")
    )
    assert set(expression.split("|")) <= set(named("reasons"))


def test_every_runbook_is_for_something() -> None:
    assert {f"runbooks/{story.page}" for story in stories.stories().values()} <= {each.page for each in EVERY}
