"""That `kubectl exec`, `logs` and `port-forward` do with a pod of the tests' what they do with any."""

import json
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest

from tests.e2e.fix_operator import OperatorStage
from tests.klite import programs
from tests.klite.cluster import AS_CLIENT, Cluster, ClusterError
from tests.klite.network import Network
from tests.klite.node import Node
from tests.klite.pods import Kubelet, Pod
from tests.parts.authority import Authority
from tests.parts.debian import CLIENT, DebianRoot
from tests.parts.needs import IPROUTE
from tests.parts.processes import Running, launch, wait_until
from tests.parts.terminal import Terminal

IMAGE = "registry.example/streams"
SERVER = """
    $on = IO::Socket::INET->new(LocalAddr => "127.0.0.1:7000", Listen => 5, ReuseAddr => 1) or die;
    $| = 1;
    print "listening\\n";
    while ($one = $on->accept) {
        while (<$one>) { last if /^\\r$/ }
        print $one "HTTP/1.0 200 OK\\r\\n\\r\\n", $one->sockport;
        close $one
    }
"""
"""Says its port to whoever asks; Debian always has Perl."""
MAIN = f"""
trap 'echo asked' USR1
trap 'echo ended; exit 0' TERM
printf '%s\\n' one two three
perl -MIO::Socket::INET -e '{SERVER}' &
while :; do wait; done
"""
POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: main, namespace: streams}}
spec:
  serviceAccountName: nobody
  automountServiceAccountToken: false
  securityContext: {{runAsUser: 1234, runAsGroup: 2345, fsGroup: 3456}}
  containers:
    - name: app
      image: {IMAGE}
      command: [bash, -c, {json.dumps(MAIN)}]
      env: [{{name: GREETING, value: good day}}]
"""


@dataclass
class Streams:
    """A pod at an address of its own, and kubectl."""

    cluster: Cluster
    node: Node
    pod: Pod
    folder: Path

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """In the pod's namespace; raises ClusterError with what it said, if it failed."""
        return self.cluster.kubectl("-n", "streams", *words, stdin=stdin)

    def exec(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints in the container."""
        options = [] if stdin is None else ["-i"]
        return self.kubectl("exec", *options, "main", "-c", "app", "--", *words, stdin=stdin)

    def begin(self, *words: str) -> tuple[Running, Path]:
        """kubectl beside the test, and where it writes."""
        log = self.folder / "kubectl.log"
        log.unlink(missing_ok=True)
        return launch([programs.kubectl(), f"--kubeconfig={self.cluster.kubeconfig}", *words], log=log), log


@pytest.fixture(scope="module")
def streams(
    need: Callable[..., None], operator_stage: OperatorStage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Streams]:
    need(IPROUTE)
    cluster, folder = operator_stage.cluster, tmp_path_factory.mktemp("streams")
    cluster.namespace("streams")
    cluster.account("streams", "nobody")
    cluster.kubectl("apply", "-f", "-", stdin=POD)
    with Network.start(folder, []) as network, Node.start(cluster, "streams", folder / "node") as node:
        kubelet = Kubelet(node, operator_stage.kubelet.images, network)
        kubelet.images.register(IMAGE, DebianRoot.of(CLIENT).path)
        pod = kubelet.run("streams", "main")
        try:
            wait_until(lambda: "listening" in pod.running["app"].log(), 30, "the pod's server")
            yield Streams(cluster, node, pod, folder)
        finally:
            pod.stop()
            cluster.kubectl("-n", "streams", "delete", "pod", "main", "--ignore-not-found")


def test_a_command_is_run_as_the_container_is(streams: Streams) -> None:
    said = streams.exec("sh", "-c", "id -u; id -g; id -G; echo $GREETING; pwd; cat /proc/1/comm")
    assert said.splitlines() == ["1234", "2345", "2345 3456", "good day", "/", "bash"]
    status = streams.exec("cat", "/proc/self/status")
    assert re.findall(r"^(?:CapEff|NoNewPrivs):\s*(\w+)", status, re.MULTILINE) == ["0000000000000000", "1"]


def test_what_is_typed_comes_in_and_the_exit_code_comes_out(streams: Streams) -> None:
    assert streams.exec("tr", "a-z", "A-Z", stdin="so be it") == "SO BE IT"
    with pytest.raises(ClusterError, match="terminated with exit code 7"):
        streams.exec("sh", "-c", "exit 7")
    with pytest.raises(ClusterError, match="terminated with exit code 137"):
        streams.exec("sh", "-c", "kill -KILL $$")
    with pytest.raises(ClusterError, match="loud and clear"):
        streams.exec("sh", "-c", "echo loud and clear >&2; exit 1")


def test_a_terminal_is_one_there_too(streams: Streams) -> None:
    kubectl = [programs.kubectl(), f"--kubeconfig={streams.cluster.kubeconfig}", "-n", "streams"]
    with Terminal([*map(str, kubectl), "exec", "-it", "main", "--", "bash", "--norc"]) as terminal:
        terminal.type("stty rows 33 cols 44; tty; stty size; echo $((6 * 7))")
        assert "/dev/pts/" in terminal.until("33 44")
        terminal.until("42")
        terminal.type("exit 3")
        assert terminal.ends() == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["main", "--", "no-such-program"], "executable file not found"),
        (["main", "-c", "other", "--", "true"], "container other is not valid"),
        (["other", "--", "true"], "not found"),
    ],
)
def test_what_is_not_there_is_said(streams: Streams, words: list[str], said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        streams.kubectl("exec", *words)


def test_logs_are_what_the_container_has_printed(streams: Streams) -> None:
    assert streams.kubectl("logs", "main").startswith("one\ntwo\nthree\n")
    whole = streams.kubectl("logs", "main", "-c", "app").splitlines()
    assert streams.kubectl("logs", "main", "--tail=2").splitlines() == whole[-2:]
    assert streams.kubectl("logs", "main", "--tail=0") == ""
    assert streams.kubectl("logs", "main", "--tail=100").splitlines() == whole


def test_what_cannot_be_said_of_logs_is_refused(streams: Streams) -> None:
    with pytest.raises(ClusterError, match="sinceSeconds is not known here"):
        streams.kubectl("logs", "main", "--since=5m")


def test_a_log_is_followed(streams: Streams) -> None:
    following, log = streams.begin("-n", "streams", "logs", "main", "-f", "--tail=1")
    try:
        streams.exec("sh", "-c", "kill -USR1 1")
        wait_until(lambda: "asked" in log.read_text(), 30, "the line")
    finally:
        following.stop()


def test_a_port_is_the_pods_own(streams: Streams) -> None:
    forwarding, log = streams.begin("-n", "streams", "port-forward", "pod/main", ":7000", "--address=127.0.0.1")
    try:
        wait_until(lambda: "Forwarding from" in log.read_text(), 30, "the forwarding")
        (port,) = re.findall(r"127\.0\.0\.1:(\d+) -> 7000", log.read_text())
        for _ in range(2):
            with urlopen(f"http://127.0.0.1:{port}", timeout=30) as answer:
                assert answer.read() == b"7000"
    finally:
        forwarding.stop()


def test_nobody_but_the_api_server_may_ask(streams: Streams, authority: Authority) -> None:
    """Who has any certificate of the authority could otherwise run what it likes in every pod."""
    found = streams.cluster.get("/api/v1/nodes/streams")["status"]
    url = f"https://127.0.0.1:{found['daemonEndpoints']['kubeletEndpoint']['Port']}/healthz"

    def ask(*names: str) -> str:
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        for name in names:
            own = authority.client(f"{name}-of-the-test", [name])
            context.load_cert_chain(own.cert_file, own.key_file)
        return httpx.get(url, verify=context, trust_env=False).text

    assert ask(AS_CLIENT) == "ok"
    with pytest.raises(httpx.HTTPError, match="certificate required"):
        ask()
    with pytest.raises(httpx.HTTPError, match="bad certificate"):
        ask("somebody")


def test_a_pod_that_has_ended_runs_nothing(streams: Streams) -> None:
    """Its log is there yet, and who follows it has come to its end; and it goes at once, deleted."""
    following, log = streams.begin("-n", "streams", "logs", "main", "-f")
    wait_until(lambda: "listening" in log.read_text(), 30, "the log")
    streams.pod.running["app"].stop()
    wait_until(lambda: not following.alive(), 30, "the end of kubectl logs")
    assert log.read_text().endswith("ended\n")
    with pytest.raises(ClusterError, match=r'container not found \("app"\)'):
        streams.exec("true")
    assert streams.kubectl("logs", "main", "--tail=1") == "ended\n"
    streams.kubectl("delete", "pod", "main", "--timeout=10s")
