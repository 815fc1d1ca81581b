"""Real SPIRE servers and agents on the loopback: trust domains whose workloads are this machine's programs.

A server may be nested below another's agent: then its keys are in the bundle of the one trust domain of both.
"""

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.klite.programs import spire_agent, spire_server
from tests.parts.authority import Authority
from tests.parts.ports import free_port
from tests.parts.processes import Running, TimeUpError, launch, wait_until
from tests.parts.progress import step

__all__ = ["SpireError", "TrustDomain"]

_READY_SECONDS = 60.0
_NODE = "/agent"
_OK, _ALREADY_EXISTS = 0, 6
"""Codes of gRPC."""


class SpireError(Exception):
    """A server or an agent did not start, or refused what the test asked of it."""


@dataclass
class TrustDomain:
    """A running SPIRE server with one agent. A context manager that stops both.

    `name` is as in ``spiffe://NAME``, `bundle_url` the bundle endpoint, under a certificate of the authority's.
    """

    name: str
    folder: Path
    bundle_url: str
    server: Running
    agent: Running

    @classmethod
    def start(
        cls,
        folder: Path,
        authority: Authority,
        name: str,
        *,
        jwt_issuer: str | None = None,
        above: "TrustDomain | None" = None,
    ) -> Self:
        """Start one in the empty `folder`, whose path must be short enough for Unix sockets.

        Args:
            folder: for sockets, data and logs.
            authority: signs the certificate of the bundle endpoint.
            name: of the trust domain.
            jwt_issuer: ``iss`` of its JWT-SVIDs; None: they have none.
            above: the server that signs this one's authority, of the same trust domain.

        Raises:
            GoError: a program could not be built.
            SpireError: something ended, or was not ready in a minute.
        """
        programs = spire_server(), spire_agent()
        ports = free_port(), free_port()
        certificate = authority.server(f"bundle-{folder.name}")
        endpoint = {"port": ports[1], "cert": certificate.cert_file, "key": certificate.key_file}
        _api(folder).parent.mkdir()
        (folder / "server.conf").write_text(_server_conf(folder, name, ports[0], endpoint, jwt_issuer, above))
        with step(f"SPIRE starts for {name}"), ExitStack() as undo:
            server = launch([programs[0], "run", "-config", folder / "server.conf"], log=folder / "server.log")
            undo.callback(server.stop)
            _await_healthy(folder, "server", server)
            token = json.loads(
                _run(programs[0], "token", "generate", folder / "server.sock", "-spiffeID", f"spiffe://{name}{_NODE}")
            )
            (folder / "agent.conf").write_text(_agent_conf(folder, name, ports[0], token["value"]))
            agent = launch([programs[1], "run", "-config", folder / "agent.conf"], log=folder / "agent.log")
            undo.callback(agent.stop)
            _await_healthy(folder, "agent", agent)
            undo.pop_all()
        return cls(name, folder, f"https://localhost:{ports[1]}", server, agent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.agent.stop()
        self.server.stop()

    @property
    def workload_api(self) -> Path:
        """The agent's socket, alone in its folder and called as SPIRE calls it where a CSI driver hands it on."""
        return _api(self.folder)

    def register(
        self,
        path: str,
        program: Path | None = None,
        *,
        uid: int | None = None,
        federates_with: Sequence[str] = (),
        downstream: bool = False,
    ) -> None:
        """Give processes of a program, or a user's, the SPIFFE ID with this path, and wait until the agent knows.

        Args:
            path: of the SPIFFE ID.
            program: the file that is executed; None for the command that `svid` asks with.
            uid: whose processes they are, in place of `program`.
            federates_with: names of trust domains whose bundles these processes get as well.
            downstream: it is a server below this one.
        """
        more = [*_federating(federates_with), *(["-downstream"] if downstream else [])]
        self._entry("create", path, _of_program(program or spire_agent()) if uid is None else f"unix:uid:{uid}", *more)
        if program is None and uid is None:
            self._await_known(path)
        else:
            self._await_all(f"/after{path}")

    def svid(self, path: str, *audiences: str) -> str:
        """A JWT-SVID for the workload with this path, from the Workload API."""
        wanted = [word for audience in audiences for word in ("-audience", audience)]
        identity = f"spiffe://{self.name}{path}"
        said = _run(spire_agent(), "api", "fetch jwt", self.workload_api, *wanted, "-spiffeID", identity)
        return str(_svids(said)[0]["svid"])

    def bundle(self) -> str:
        """The trust domain's bundle, as a file would have it."""
        return _run(spire_server(), "bundle", "show", self.folder / "server.sock", "-format", "spiffe", output="pretty")

    def federate(self, other: "TrustDomain") -> None:
        """Know the keys of another trust domain."""
        given = ["-format", "spiffe", "-id", f"spiffe://{other.name}"]
        _run(spire_server(), "bundle", "set", self.folder / "server.sock", *given, stdin=other.bundle())

    def rotate_keys(self) -> None:
        """Sign JWT-SVIDs with a new key from now on; the old one stays published."""
        made = json.loads(self.command("localauthority jwt", "prepare"))
        self.command("localauthority jwt", "activate", "-authorityID", made["prepared_authority"]["authority_id"])

    def command(self, noun: str, verb: str, *words: str) -> str:
        """One of ``spire-server``'s commands; answers with its JSON."""
        return _run(spire_server(), noun, verb, self.folder / "server.sock", *words)

    def _entry(self, verb: str, path: str, selector: str, *more: str) -> None:
        parent, identity = f"spiffe://{self.name}{_NODE}", f"spiffe://{self.name}{path}"
        said = self.command("entry", verb, "-parentID", parent, "-spiffeID", identity, "-selector", selector, *more)
        for status in (
            each["status"] for each in json.loads(said)["results"]
        ):  # the command itself succeeds all the same
            if status["code"] not in (_OK, _ALREADY_EXISTS):
                raise SpireError(f"entry {verb} {identity}: {status['message']}")

    def _await_all(self, probe: str) -> None:
        """Wait until the agent knows what was changed: it tells nobody of others' entries, but learns all at once."""
        self._entry("create", probe, _of_program(spire_agent()))
        self._await_known(probe)

    def _await_known(self, path: str) -> None:
        wait_until(lambda: self._knows(path), _READY_SECONDS, f"the agent to know {path}", pause=0.2)

    def _knows(self, path: str) -> bool:
        identity = f"spiffe://{self.name}{path}"
        try:
            said = _run(spire_agent(), "api", "fetch jwt", self.workload_api, "-audience", "x", "-spiffeID", identity)
        except SpireError:
            return False
        return bool(_svids(said))


def _api(folder: Path) -> Path:
    return folder / "api" / "spire-agent.sock"


def _of_program(program: Path) -> str:
    return f"unix:path:{program.resolve()}"


def _federating(names: Sequence[str]) -> list[str]:
    return [word for name in names for word in ("-federatesWith", f"spiffe://{name}")]


def _svids(said: str) -> list[dict[str, Any]]:
    """Of what ``fetch jwt`` prints: a list of answers, the SVIDs in one, the bundles in another."""
    answers = json.loads(said)
    return [svid for answer in answers for svid in answer.get("svids", [])]


def _run(
    program: Path, noun: str, verb: str, socket: Path, *words: str, output: str = "json", stdin: str | None = None
) -> str:
    command: list[str | Path] = [
        program,
        *noun.split(),
        *verb.split(),
        "-socketPath",
        socket,
        "-output",
        output,
        *words,
    ]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise SpireError(f"{program.name} {noun} {verb}: {done.stdout}{done.stderr}")
    return done.stdout


def _await_healthy(folder: Path, what: str, process: Running) -> None:
    program = spire_server() if what == "server" else spire_agent()
    socket = folder / "server.sock" if what == "server" else _api(folder)
    command: list[str | Path] = [program, "healthcheck", "-socketPath", socket]

    def settled() -> bool:
        return not process.alive() or subprocess.run(command, capture_output=True, check=False).returncode == 0

    try:
        wait_until(settled, _READY_SECONDS, f"the SPIRE {what} to be healthy", pause=0.2)
    except TimeUpError as error:
        process.stop()
        raise SpireError(f"{error}\n{(folder / f'{what}.log').read_text()[-3000:]}") from None
    if not process.alive():
        raise SpireError(f"the SPIRE {what} ended\n{(folder / f'{what}.log').read_text()[-3000:]}")


def _server_conf(
    folder: Path, name: str, port: int, endpoint: dict[str, Any], jwt_issuer: str | None, above: TrustDomain | None
) -> str:
    issuer = f'jwt_issuer = "{jwt_issuer}"' if jwt_issuer else ""
    return f"""
server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  socket_path = "{folder}/server.sock"
  trust_domain = "{name}"
  data_dir = "{folder}/server"
  log_level = "WARN"
  default_jwt_svid_ttl = "5m"
  {issuer}
  federation {{
    bundle_endpoint {{
      address = "127.0.0.1"
      port = {endpoint["port"]}
      profile "https_web" {{
        serving_cert_file {{
          cert_file_path = "{endpoint["cert"]}"
          key_file_path = "{endpoint["key"]}"
          file_sync_interval = "1h"
        }}
      }}
    }}
  }}
}}
plugins {{
  DataStore "sql" {{
    plugin_data {{
      database_type = "sqlite3"
      connection_string = "{folder}/server.sqlite3"
    }}
  }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "memory" {{ plugin_data {{}} }}
  {_upstream(above)}
}}
"""


def _upstream(above: TrustDomain | None) -> str:
    if above is None:
        return ""
    (port,) = (line for line in (above.folder / "server.conf").read_text().splitlines() if "bind_port" in line)
    return f"""UpstreamAuthority "spire" {{
    plugin_data {{
      server_address = "127.0.0.1"
      server_port = {port.partition("=")[2].strip()}
      workload_api_socket = "{above.workload_api}"
    }}
  }}"""


def _agent_conf(folder: Path, name: str, port: int, token: str) -> str:
    """The first bundle is taken on trust: server and agent are one test's own."""
    return f"""
agent {{
  data_dir = "{folder}/agent"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "{port}"
  socket_path = "{_api(folder)}"
  trust_domain = "{name}"
  insecure_bootstrap = true
  join_token = "{token}"
}}
plugins {{
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{ discover_workload_path = true }} }}
}}
"""
