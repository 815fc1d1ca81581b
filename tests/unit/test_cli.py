"""How the command line ends: exit codes, and mistakes said in a line or two instead of a traceback."""

import json
from importlib.metadata import version

import pytest

from pgbearer.cli import main
from pgbearer.cli.extras import needing
from pgbearer.cli.show import as_json
from pgbearer.errors import MissingExtraError, PgbearerError, UnreachableError, UsageError


def end(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command line."""
    monkeypatch.setattr("sys.argv", ["pgbearer", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lgin"], "No such command 'lgin'"),
        (["login", "--isuer", "x"], "No such option: --isuer"),
        (["connect", "one", "two"], "unexpected extra argument"),
        (["serve", "--log", "xml"], "'--log'"),
        (["decisions", "list", "--limit", "0"], "'--limit'"),
        (["config", "check"], "Missing argument"),
        (["login"], "no issuer is given"),
        (["decisions", "list", "--since", "tomorrow"], "'tomorrow' is no time"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_said_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.delenv("PGBEARER_ISSUER", raising=False)
    assert end(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"pgbearer {version('pgbearer')}\n"


@pytest.mark.parametrize("error", [PgbearerError, UsageError, UnreachableError])
def test_an_error_ends_with_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[PgbearerError]
) -> None:
    def fail(*_: object) -> None:
        raise error("it went wrong", where="there", hint="Try again.")

    monkeypatch.setattr("pgbearer.cli.config._check", fail)
    assert end(monkeypatch, "config", "check", "file") == error.exit_code
    assert capsys.readouterr().err == "pgbearer: there: it went wrong\n  Try again.\n"


def test_an_interrupt_ends_with_130_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pgbearer.cli.config._check", interrupt)
    assert end(monkeypatch, "config", "check", "file") == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 2)])
def test_what_a_command_finds_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, good: bool, code: int) -> None:
    result = {"ok": good, "problems": [], "summary": ""}
    monkeypatch.setattr("pgbearer.cli.config._check", lambda *_: result)
    assert end(monkeypatch, "config", "check", "file") == code


def test_json_shows_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name\x9b2J": ["\u202egpj.exe", "\u200b", "\ud800", "\U000e0041", "grün 漢字 😀", "a\nb"]}
    as_json(value)
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert "grün 漢字 😀" in shown
    assert json.loads(shown) == value


@pytest.mark.parametrize(
    "words", [[], ["cnpg"], ["config"], ["decisions"], ["policy"], ["policy", "shadow"], ["proxy"], ["revoke"]]
)
def test_each_command_is_said_in_one_line_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert end(monkeypatch, *words, "--help") == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_a_package_that_is_not_there_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"extra \[serve\] \(no module 'uvloop'\)"), needing("serve"):
        raise ModuleNotFoundError(name="uvloop")


def test_a_module_of_our_own_that_is_not_there_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError), needing("serve"):
        raise ModuleNotFoundError(name="pgbearer.service")
