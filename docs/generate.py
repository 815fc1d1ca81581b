"""Writes the reference pages from the code, so that they cannot say anything else: ``make docs``.

A unit test compares each page with what this file would write.
"""

import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from docs import stories, symptoms, versions
from pgbearer.cli import app
from pgbearer.cnpg import CODES
from pgbearer.config import PolicyFile
from pgbearer.config.reference import Setting, reference
from pgbearer.policy import FIELDS
from pgbearer.service.metrics import TABLE
from pgbearer.wire import Reason

__all__ = ["PAGES", "main", "module_reasons"]

ROOT = Path(__file__).parent.parent
NOTE = "<!-- Written by docs/generate.py from the code: change it there and run `make docs`. -->"


def settings() -> str:
    """Every key of pgbearer.yaml, of files in policy.d, and of the module."""
    head = ("Key", "Type", "Default", "Bounds", "Meaning")
    own = [setting for setting in reference(PolicyFile) if not setting.path.startswith("rules[].")]
    return _page(
        "Every setting",
        "What may stand in `pgbearer.yaml`. `NAME` is a name of your choice, `[]` each item of a list.\n"
        "How rules work together is in [policy.md](policy.md). For editors, `pgbearer config schema` prints the\n"
        "same as a JSON Schema.",
        _table(head, map(_setting, reference())),
        "## In policy.d",
        "What may stand in each `policy.d/*.yaml` beside `pgbearer.yaml`.",
        _table(head, map(_setting, own)),
        "## In postgresql.conf",
        "The module's own. Each can be changed with a reload, and only by who may write the file: none can be set\n"
        "in a session, for a role or for a database.",
        _table(("Setting", "Type", "Default", "Meaning"), module_settings()),
    )


def _setting(setting: Setting) -> tuple[str, ...]:
    default = "required" if setting.required else f"`{setting.default}`" if setting.default else ""
    return f"`{setting.path}`", setting.type, default, setting.bounds, setting.meaning


def module_settings() -> Iterator[tuple[str, str, str, str]]:
    """Every setting of the module: name, type, default and meaning, from define_settings() in pgbearer.c."""
    source = (ROOT / "validator/pgmodule/pgbearer.c").read_text(encoding="utf-8")
    text = r'"((?:\\.|[^"\\])*)"'
    entry = rf"DefineCustom(String|Int)Variable\({text},\s*{text},\s*(?:NULL|{text}),\s*&\w+, ([^,]+),.*?\);"
    for match in re.finditer(entry, source, re.DOTALL):
        kind, name, short, long, default = match.groups()
        unit = {"GUC_UNIT_MS": "ms", "GUC_UNIT_BYTE": "B"}.get(
            next(iter(re.findall(r"GUC_UNIT_\w+", match[0])), ""), ""
        )
        value = default.strip('"') if kind == "String" else f"{math.prod(map(int, default.split('*')))}{unit}"
        meaning = f"{short} {long or ''}".strip().replace(r"\"", '"')
        yield f"`{name}`", "text" if kind == "String" else "integer", f"`{value}`" if value else "", meaning


def conditions() -> str:
    """Every name a condition can use."""
    rows: list[tuple[str, str, str]] = [(f"`{name}`", field.type, field.meaning) for name, field in FIELDS.items()]
    rows.append(("`claims.NAME`", "as declared", "a claim that the issuer declares under `issuers.NAME.claims`"))
    rows.append(("`has(claims.NAME)`", "bool", "whether the token has it"))
    return _page(
        "What a condition can name",
        "The names in `when`, with their types. A field is never missing: what does not apply is empty.\n"
        "A claim may be missing; a condition on it then fails, and says so in the decision record.",
        _table(("Name", "Type", "Meaning"), rows),
    )


def reasons() -> str:
    """Every reason a login can be refused for."""
    service = ((f"`{reason}`", reason.meaning, reason.remedy) for reason in Reason)
    head = ("Reason", "Meaning", "What to do")
    return _page(
        "Why was it refused?",
        "Every decision has one of these reasons. They are a stable list: a reason keeps its name and its meaning.",
        "## Decided by the service",
        "In the audit, on the admin socket, and in the server log of the login.",
        _table(head, service),
        "## Decided by the module, where the service gave no decision",
        "In the server log only: the service knows nothing of them.",
        _table(head, ((f"`{name}`", meaning, remedy) for name, meaning, remedy in module_reasons())),
    )


def metrics() -> str:
    """Every metric."""
    rows = (
        (f"`{measure.name}`", measure.kind, ", ".join(f"`{label}`" for label in measure.labels), measure.meaning)
        for measure in TABLE
    )
    return _page(
        "What can be measured?",
        "`/metrics` on the listener of `http.address`, in the Prometheus text format.",
        _table(("Metric", "Kind", "Labels", "Meaning"), rows),
    )


def cli() -> str:
    """Every command."""
    command: Any = get_command(app)
    codes = "Exit codes: 0 ok; 1 a finding, or refused; 2 usage or a bad file; 3 something could not be reached."
    root = "What stands before the command, for all of them:"
    return _page("Every command", codes, root, _options_table(command), *_commands("pgbearer", command))


def cnpg_findings() -> str:
    """What `pgbearer cnpg check` finds."""
    rows = ((f"`{code}`", about.severity, about.meaning) for code, about in CODES.items())
    return _page(
        "What can a check of a Cluster find?",
        "Every code of [pgbearer cnpg check](cloudnativepg-check.md). A code keeps its name and its meaning.",
        _table(("Code", "Severity", "Meaning"), rows),
    )


def tested_versions() -> str:
    """What the tests run against."""
    tables = ((f"## {heading}", _table(versions.HEAD, rows)) for heading, rows in versions.versions())
    return _page(
        "Which versions is it tested with?",
        "Those that the tests fetch or build, each pinned in `requirements/` or `tests/parts/` by its hash, except\n"
        "where it says otherwise. Others may work; nobody has tried here.",
        *(part for table in tables for part in table),
    )


def runbooks() -> str:
    """What somebody on call sees, and the page for it."""
    every = stories.stories()
    return _page(
        "What do I do when?",
        "For who is on call. The reason is in PostgreSQL's log, `OAuth login refused: REASON`, and in the service's.\n"
        "Each command works as it stands once you have said what yours are called, as each page does first.",
        stories.names(),
        _table(symptoms.HEAD, symptoms.rows()),
        "Another alert: [what it wants of you](../alerts.md). Another reason: [what it means](../reasons.md).",
        "## All runbooks",
        "Each has what you see, what to do, how you know that it is done, how to go back;\n"
        "[which of their steps were tried](tried.md), and on what.",
        "\n".join(f"- [{each.title}]({each.page})" for each in every.values()),
    )


def tried() -> str:
    """Which steps of the runbooks were tried."""
    return _page(
        "What of the runbooks was tried?",
        "Of [the runbooks](index.md). Read from the tests, which name the step that they try. A step without a test\n"
        f"is *not tried here*, and says why. Tried means on {stories.WHERE['operator']}, unless it\n"
        "says otherwise. The operator, PostgreSQL, the module, the service and Keycloak are real, and so are\n"
        "`kubectl` and its plugins. What `kubectl exec`, `logs` and `port-forward` ask of a kubelet, a program of the\n"
        "tests answers, with the kubelet's own library.",
        *(part for name, each in stories.stories().items() for part in (f"## {each.title}", _steps(name))),
    )


def _steps(name: str) -> str:
    return _table(("Step", "Tried", "By, or why not"), stories.rows(name))


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings,
    "conditions.md": conditions,
    "reasons.md": reasons,
    "metrics.md": metrics,
    "cli.md": cli,
    "cloudnativepg-findings.md": cnpg_findings,
    "tested-versions.md": tested_versions,
    "runbooks/index.md": runbooks,
    "runbooks/tried.md": tried,
}


def main() -> None:
    """Write the pages that differ, and say which."""
    for name, page in PAGES.items():
        path, text = ROOT / "docs" / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"docs/{name}\n")


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def module_reasons() -> Iterator[tuple[str, str, str]]:
    """The entries of the table in validator/pgmodule/reasons.h: a name and two string literals each."""
    source = (ROOT / "validator/pgmodule/reasons.h").read_text(encoding="utf-8").replace("\\\n", "")
    entry = r'REASON\((?P<name>\w+),\s*"(?P<meaning>(?:\\.|[^"\\])*)",\s*"(?P<remedy>(?:\\.|[^"\\])*)"\)'
    for match in re.finditer(entry, source):
        yield match["name"], match["meaning"].replace(r"\"", '"'), match["remedy"].replace(r"\"", '"')


def _commands(name: str, command: Any) -> Iterator[str]:
    """A command's usage, help, arguments and options; a group's commands after its own, if it does something itself."""
    if hasattr(command, "commands"):
        if command.invoke_without_command:
            yield from _command(name, command)
        for inner in sorted(command.commands):
            yield from _commands(f"{name} {inner}", command.commands[inner])
        return
    yield from _command(name, command)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *(_argument(param) for param in arguments)])
    yield f"## {name}"
    yield f"```text\n{usage}\n```"
    yield "\n\n".join(map(_paragraph, re.split(r"\n{2,}", (command.help or "").strip())))
    if arguments or options:
        yield _options_table(command)


def _paragraph(text: str) -> str:
    r"""As Markdown has it; click keeps lines as they are after a ``\b``, which is how several examples are written."""
    text = text.removeprefix("\b").strip("\n")
    head, *lines = text.split("\n")
    if head.startswith("Example of "):
        return "\n".join([head, "", "```yaml", *(line.removeprefix("  ") for line in lines), "```"])
    if head != "Example:":
        return text
    return "\n".join([head, "", "```sh", *(line.strip() for line in lines), "```"])


def _options_table(command: Any) -> str:
    """The arguments and options of one command, or of the root."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    rows = [(f"`{_argument(param)}`", _help(param)) for param in arguments]
    rows += [("`" + ", ".join([*param.opts, *param.secondary_opts]) + "`", _help(param)) for param in options]
    return _table(("Argument or option", "Meaning"), rows)


def _argument(param: Any) -> str:
    text = param.metavar or param.name.upper()
    return text if param.required or text.startswith("[") else f"[{text}]"


def _help(param: Any) -> str:
    return " ".join((getattr(param, "help", None) or "").split())


if __name__ == "__main__":
    main()
