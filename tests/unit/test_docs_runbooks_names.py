"""The commands of the runbooks, with other names than those of the manifests: each is of an object that is there.

What is there is what `pgbearer cnpg render` makes for these names, and what the operator makes of that.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from string import Template
from typing import Final

import pytest

from docs import stories
from pgbearer.cnpg.draft import decode_spec
from pgbearer.cnpg.render import render
from tests.e2e.reader import NAMES as FIRST
from tests.e2e.reader import Page

NAMES: Final = {"namespace": "shop", "cluster": "orders", "service": "orders-pgbearer", "database": "ledger"}
SPEC: Final = {
    "version": 1,
    "name": NAMES["cluster"],
    "namespace": NAMES["namespace"],
    "issuer": "https://sso.example.org/realms/corp",
    "audience": "db:orders",
    "database": NAMES["database"],
    "roles": [{"name": "orders_reader", "inherits": ["pg_read_all_data"]}],
}
RUNBOOKS: Final = [Page("alerts.md"), *(Page(f"runbooks/{story.page}") for story in stories.stories().values())]
PAGES: Final = [Page("explain.md"), Page("runbooks/index.md"), *RUNBOOKS]
NAME: Final = r"([\w.-]+)"
REFERENCES: Final[Mapping[str, str]] = {
    "Namespace": rf"(?:-n|--namespace) {NAME}",
    "Cluster": rf"\bcluster {NAME}|--cnpg-cluster {NAME}|--cluster {NAME}|cnpg (?:status|psql|promote) {NAME}"
    rf"|cnpg\.io/cluster={NAME}",
    "Deployment": rf"\bdeploy/{NAME}|app\.kubernetes\.io/name={NAME}",
    "Pod": rf"\bpod/{NAME}|\b(?:exec|logs) ([a-z][\w-]*)|cnpg promote \S+ {NAME}",
    "Service": rf"\bsvc/{NAME}|host[=:] ?([\w-]+)\.shop\.svc",
    "Secret": rf"(?<![\w-])secret[/ ]([\w-]+)|delete secret [\w-]+ {NAME}|ssl(?:Key|Cert|RootCert): {{name: {NAME}",
    "database": rf"dbname={NAME}|-- ([a-z]+)$",
}
"""How a command refers to an object of a kind."""
OWN: Final = re.compile(
    r"cnpg certificate ([\w-]+)|create (?:configmap|secret generic) ([\w-]+)|^applications=(\w+)$", re.M
)
"""What the commands make themselves, or let the reader say."""


@cache
def there() -> Mapping[str, set[str]]:
    """The names of what there is, by kind."""
    every = render(decode_spec(json.dumps(SPEC), "orders.yaml")).objects
    cluster = NAMES["cluster"]
    found = {kind: {each["metadata"]["name"] for each in every if each["kind"] == kind} for kind in REFERENCES}
    found["Secret"] = {each["spec"]["secretName"] for each in every if each["kind"] == "Certificate"}
    found["Secret"] |= {f"{cluster}-{what}" for what in ("ca", "server", "replication")}
    found["Service"] |= {f"{cluster}-{what}" for what in ("rw", "ro", "r")}
    found["Pod"] = {f"{cluster}-{number}" for number in (1, 2, 3)}
    found["Namespace"] |= {"cnpg-system"}
    found["database"] = {NAMES["database"]}
    return found


def commands(page: Page) -> Iterator[str]:
    """Those of the page, and the lines that they write into files, with the names put in."""
    prose = re.sub(r"```.*?```", "", page.text, flags=re.DOTALL)
    inline = re.findall(r"`((?:kubectl|pgbearer|pod/)[^`\n]*)`", prose)
    for text in [*page.blocks(), *inline]:
        yield from Template(text).safe_substitute(NAMES | {"applications": "cnpg-system"}).splitlines()


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: str(page.name))
def test_the_names_are_said_first(page: Page) -> None:
    assert page.blocks()[0] == FIRST


def strangers(command: str, made: set[str]) -> list[tuple[str, str]]:
    """What a command refers to that is not there."""
    return [
        (kind, name)
        for kind, pattern in REFERENCES.items()
        for groups in re.findall(pattern, command)
        for name in ([groups] if isinstance(groups, str) else groups)
        if name and name not in there()[kind] | made
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_each_command_is_of_what_is_there(page: Page) -> None:
    every = list(commands(page))
    made = {name for text in every for groups in OWN.findall(text) for name in groups if name}
    assert [(command, found) for command in every if (found := strangers(command, made))] == []


def test_the_block_says_the_names_of_what_ships() -> None:
    said = dict(re.findall(r"^(\w+)=(\S+)", FIRST, re.MULTILINE))
    assert said == {"namespace": "databases", "cluster": "pg", "service": "pgbearer", "database": "appdb"}
    assert said.keys() == NAMES.keys()


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("kubectl -n databases get pods", [("Namespace", "databases")]),
        ("kubectl -n shop get secret pg-ca", [("Secret", "pg-ca")]),
        ("kubectl -n shop get secret orders-ca", []),
        ("kubectl -n shop delete secret orders-ca pgbearer-client-tls", [("Secret", "pgbearer-client-tls")]),
        ("kubectl -n shop logs pg-1 -c pgbearer", [("Pod", "pg-1")]),
        ("kubectl -n shop logs -l app.kubernetes.io/name=pgbearer", [("Deployment", "pgbearer")]),
        ("kubectl -n shop logs -l cnpg.io/cluster=pg,cnpg.io/podRole=instance", [("Cluster", "pg")]),
        ("kubectl cnpg promote pg pg-2 -n shop", [("Cluster", "pg"), ("Pod", "pg-2")]),
        ("kubectl cnpg psql orders -n shop -- appdb", [("database", "appdb")]),
    ],
)
def test_what_is_not_there_is_seen(command: str, found: list[tuple[str, str]]) -> None:
    assert strangers(command, set()) == found
