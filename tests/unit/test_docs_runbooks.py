"""The runbooks: what is said to be tried is what the tests' marks say, and each page has its parts."""

import re
from pathlib import Path

import pytest

from docs import stories
from docs.stories import Step, Story, Trial, rows, trials, trials_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "runbooks"
PARTS = ["What you see", "What to do", "How you know that it is done", "How to go back"]
STEPS = [(name, step) for name, story in stories.stories().items() for step in story.steps]

SAMPLE = {
    "down": Story("down.md", "It is down", {"in": Step("Nobody gets in.", "no reason"), "out": Step("All stay.")})
}


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "stories", lambda: SAMPLE)


def file_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    monkeypatch.setattr(stories, "_TESTS", tmp_path)
    (tmp_path / "test_it.py").write_text(text)
    return tmp_path / "test_it.py"


def named(tmp_path: Path) -> str:
    return f"{tmp_path.name}/test_it.py::test_it"


@pytest.mark.parametrize("story", stories.stories().values(), ids=lambda story: str(story.page))
def test_a_page_has_its_parts_in_their_order(story: Story) -> None:
    headings = re.findall(r"^## (.*)$", (FOLDER / story.page).read_text(), re.MULTILINE)
    assert [heading for heading in headings if heading in PARTS] == PARTS


@pytest.mark.parametrize("story", stories.stories().values(), ids=lambda story: str(story.page))
def test_a_page_says_what_of_it_was_tried(story: Story) -> None:
    page = (FOLDER / story.page).read_text()
    anchor = re.sub(r"[^\w\- ]", "", story.title.lower()).replace(" ", "-")
    assert f"(tried.md#{anchor})" in page
    assert page.index(stories.names()) < page.index("## What you see")


@pytest.mark.usefixtures("sample")
def test_a_first_block_of_its_own_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "_FOLDER", tmp_path)
    monkeypatch.setattr(stories, "stories", lambda: SAMPLE | {"up": Story("up.md", "It is up", {})})
    (tmp_path / "down.md").write_text("```sh\ncluster=pg\n```\n")
    (tmp_path / "up.md").write_text("```sh\ncluster=other\n```\n")
    with pytest.raises(ValueError, match=r"down\.md, up\.md"):
        stories.names.__wrapped__()


def test_every_page_is_a_story() -> None:
    pages = {page.name for page in FOLDER.glob("*.md")}
    assert pages == {"index.md", "tried.md", *(story.page for story in stories.stories().values())}


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_a_reason_stands_where_nothing_was_tried_and_only_there(name: str, step: str) -> None:
    on_operator = [trial for trial in trials() if (trial.story, trial.step, trial.on) == (name, step, "operator")]
    assert bool(on_operator) != bool(stories.stories()[name].steps[step].untried)


def test_marks_are_read() -> None:
    assert len(trials()) >= 10


@pytest.mark.usefixtures("sample")
def test_a_mark_is_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '@pytest.mark.usefixtures("x")\n@pytest.mark.story("down", "in", on="socket")\nasync def test_it(): ...\n'
    assert trials_of(file_of(tmp_path, monkeypatch, text)) == (Trial("down", "in", "socket", named(tmp_path)),)


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize("mark", ["skip", 'skip(reason="later")', "xfail"])
def test_a_test_that_does_not_run_tries_nothing(mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'@pytest.mark.{mark}\n@pytest.mark.story("down", "in", on="socket")\ndef test_it(): ...\n'
    assert trials_of(file_of(tmp_path, monkeypatch, text)) == ()


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    "arguments",
    [
        '"dwn", "in", on="socket"',
        '"down", "inn", on="socket"',
        '"down", "in", on="paper"',
        '"down", "in"',
        '*X, on="socket"',
    ],
)
def test_a_mark_of_another_form_is_an_error(arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path, monkeypatch, f"@pytest.mark.story({arguments})\ndef test_it(): ...\n")
    with pytest.raises(ValueError, match="test_it"):
        trials_of(file)


@pytest.mark.usefixtures("sample")
def test_what_was_tried_where_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*on: str) -> list[tuple[str, str, str]]:
        monkeypatch.setattr(stories, "trials", lambda: [Trial("down", "in", each, f"t::{each}") for each in on])
        return list(rows("down"))

    assert tried()[0] == ("Nobody gets in.", "**not tried here**", "no reason")
    assert tried("socket")[0][1:] == (
        "tried, but not with the operator",
        "PostgreSQL, with the service at a socket: `t::socket`<br>not with the operator: no reason",
    )
    assert tried("operator", "socket")[0][1] == "**tried**"
