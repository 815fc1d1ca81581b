"""``pgbearer cnpg``: Clusters of CloudNativePG from a short spec, and what is wrong with them, applied or not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgbearer.cli import asking, show, upstreams
from pgbearer.cli.extras import needing
from pgbearer.cli.given import Given, TokenCommand, TokenFile, given
from pgbearer.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    import psycopg

    from pgbearer.cnpg import Finding, Status

__all__ = ["cnpg"]

cnpg = typer.Typer(
    name="cnpg", help="Make and check Clusters of CloudNativePG, and say how they are.", no_args_is_help=True
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_CONNECT_SECONDS = 10


_Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", metavar="NAME", help="Of the Cluster.  [default: kubectl's]")
]
_Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Of the kubeconfig.  [default: kubectl's]")
]


@cnpg.command()
def check(
    context: typer.Context,
    *,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILES", help="Manifests, as many as you like; - is a pipe.")
    ] = None,
    live: Annotated[
        str | None,
        typer.Option(
            "--live",
            metavar="CONNINFO",
            help="Judge a running server instead, as a superuser of it; an upstream of client.toml, with its token.",
            autocompletion=upstreams.upstream_names,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="With --live: log in with a token of this profile."),
    ] = None,
    token_file: TokenFile = None,
    token_command: TokenCommand = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="NAME", help="Judge a running Cluster instead, by kubectl exec."),
    ] = None,
    namespace: _Namespace = None,
    kube_context: _Context = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="REPOSITORY",
            help="Of files: where the service's image may come from, beside where the module's does; may be repeated.",
        ),
    ] = None,
    json: _Json = False,
) -> int:
    """Say who gets into a Cluster beside OAuth.

    And who does not get in at all, and what nobody else checks: neither CloudNativePG nor Kubernetes reads the lines
    of pg_hba.conf, and PostgreSQL keeps the old ones, silently, if a new one is wrong. Every problem of all files is
    told at once, each with a code that stays the same: docs/cloudnativepg-check.md.

    A running server is asked as a superuser: over --live, with whatever its line of pg_hba wants, a token among it (of
    `pgbearer login`, a file or a program); or in the primary of a Cluster, which takes the right to kubectl exec there.

    Exits 0 if there is nothing to mend, 1 if there is, 2 if a file cannot be read, 3 if nobody answers.

    \b
    Example:
      kubectl kustomize overlays/production | pgbearer cnpg check -
      pgbearer cnpg check cluster.yaml roles.yaml --json
      pgbearer cnpg check cluster.yaml --image registry.corp.example/pgbearer
      pgbearer cnpg check --live "host=/run/postgresql user=postgres"
      pgbearer cnpg check --live "host=db.example.org user=auditor dbname=postgres" --profile corp
      pgbearer cnpg check --cluster orders -n shop
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    if bool(files) + (live is not None) + (cluster is not None) != 1:
        raise UsageError("give files, --live or --cluster", hint="For example: pgbearer cnpg check cluster.yaml")
    token = given(context, token_file, token_command)
    if live is None and (token is not None or profile is not None):
        raise UsageError("a token goes with --live alone", hint="Files need none, and kubectl has its own.")
    if images and not files:
        raise UsageError("--image goes with files alone", hint="Give the manifests that have the sidecar.")
    if live is not None:
        findings = _live(live, profile, token)
    elif cluster is not None:
        findings = _in_cluster(cluster, namespace, kube_context)
    else:
        findings = _files(files or [], images or [])
    _print(findings, as_json=json)
    if any(finding.code == "not_yaml" for finding in findings):
        return 2
    return 1 if any(finding.counts for finding in findings) else 0


@cnpg.command()
def render(
    *,
    file: Annotated[Path, typer.Option("-f", "--file", metavar="SPEC", help="The spec: docs/cloudnativepg-render.md.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Write a folder for kustomize instead; it must be new."),
    ] = None,
) -> None:
    """Make the manifests of a Cluster from a short spec.

    People log in to it with tokens; the service is beside it. The manifests that come with pgbearer, and what the
    spec changes in them. Everything that is wrong with the spec is told at once, and nothing is written then. A line
    that lets people in beside OAuth is refused, unless it stands under insecure_lines. docs/cloudnativepg-render.md
    has every key: issuers, workloads, SPIRE, meshes, certificates, monitoring, images.

    \b
    Example of a spec:
      version: 1
      name: orders
      namespace: shop
      issuer: https://sso.example.org/realms/corp
      audience: db:orders
      database: orders
      roles:
        - {name: orders_readonly, inherits: [pg_read_all_data]}

    \b
    Example:
      pgbearer cnpg render -f orders.yaml | kubectl apply -f -
      pgbearer cnpg render -f orders.yaml -o clusters/orders
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    with needing("serve"):
        from pgbearer.cnpg import read_spec, write
        from pgbearer.cnpg import render as render_spec
    made = render_spec(read_spec(file))
    for note in made.notes:
        typer.echo(str(note), err=True)
    if output is None:
        typer.echo(made.text(), nl=False)
        return
    write(made, output)
    show.line(f"{len(made.objects)} objects; look at them with: kubectl kustomize {output}")


@cnpg.command()
def status(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="The Cluster's name.")] = "pg",
    *,
    namespace: _Namespace = None,
    context: _Context = None,
    json: _Json = False,
) -> int:
    """Say how logins to a running Cluster are.

    Which policy each service goes by, what is ready, what ends when, and who gets in. Everything is asked through
    kubectl, with your kubeconfig and your rights: the Cluster, the pods, the certificates, and by exec the services
    and the primary.

    Exits 0 if all is well, 1 if something is to be mended, 3 if the cluster cannot be asked.

    \b
    Example:
      pgbearer cnpg status orders -n shop
      kubectl pgbearer status orders -n shop --json
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    with needing("serve"):
        from pgbearer.cnpg import Kubectl, look
    found = look(Kubectl(namespace=namespace, context=context), cluster)
    if json:
        show.as_json(found.as_json())
    else:
        _tell(found)
    return 0 if found.well else 1


def _tell(found: "Status") -> None:
    ready = f"{found.ready_instances} of {found.instances} instances ready, primary {found.primary or 'not known'}"
    show.line(f"{found.cluster}: {found.phase or 'phase not known'}; {ready}")
    show.table(
        ("service", "ready", "policy", "is the file's", "problem"),
        [
            [
                show.plain(cell)
                for cell in (each.pod, _yes(each.ready), (each.digest or "")[:12], _yes(each.current), each.problem)
            ]
            for each in found.replicas
        ],
    )
    show.table(
        ("certificate", "ends", "problem"),
        [[show.plain(cell) for cell in (each.secret, each.ends, each.problem)] for each in found.certificates],
    )
    for problem in found.problems:
        show.line(problem)
    if found.findings:
        _print(found.findings, as_json=False)
    show.line("nothing to mend" if found.well else "not all is well, see above")


def _yes(value: bool | None) -> str:
    return "not known" if value is None else "yes" if value else "no"


def _files(files: list[str], images: list[str]) -> "list[Finding]":
    with needing("serve"):
        from pgbearer.cnpg import check_files
    return check_files(files, images)


def _in_cluster(cluster: str, namespace: str | None, context: str | None) -> "list[Finding]":
    with needing("serve"):
        from pgbearer.cnpg import Kubectl, ask_cluster
    return ask_cluster(Kubectl(namespace=namespace, context=context), cluster)


def _live(text: str, profile: str | None, token: Given | None) -> "list[Finding]":
    """With a token if one is named: by an option, or as the upstream's in client.toml."""
    with needing("serve"):
        from pgbearer.cnpg import check_live
    from pgbearer.client import load_client_file

    found = upstreams.find(text, load_client_file())
    if profile is None and token is None and found.conninfo == text:
        return _connected(text, check_live)
    options = upstreams.Options(
        profile, None, None, None, None, asking.manner(device=False, qr=False, no_browser=False), token
    )
    with upstreams.connected(found, options) as (connection, _):
        return check_live(connection)


def _connected(conninfo: str, judge: "Callable[[psycopg.Connection[Any]], list[Finding]]") -> "list[Finding]":
    import psycopg

    from pgbearer.client import plain

    try:
        with psycopg.connect(conninfo, connect_timeout=_CONNECT_SECONDS, autocommit=True) as connection:
            return judge(connection)
    except psycopg.ProgrammingError as error:
        raise UsageError(f"no connection string: {plain(str(error))}") from None
    except psycopg.OperationalError as error:
        raise UnreachableError(plain(str(error).strip()), where="--live") from None


def _print(findings: "Sequence[Finding]", *, as_json: bool) -> None:
    if as_json:
        ok = not any(finding.counts for finding in findings)
        show.as_json({"ok": ok, "findings": [finding.as_json() for finding in findings]})
        return
    for finding in findings:
        show.line(str(finding))
    counts = {
        severity: sum(finding.severity == severity for finding in findings)
        for severity in ("error", "warning", "notice")
    }
    told = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items() if count)
    show.line(told or "nothing to mend")
