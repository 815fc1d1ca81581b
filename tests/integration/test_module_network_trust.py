"""Whose files the module believes for a login over the network: nobody else can have written or exchanged them."""

import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fix_module_network import NetworkServer
from tests.lying_network import LyingNetwork
from tests.parts.postgres import server_uid

Place = Callable[[Path, Path], Path]
STRANGER = 54321
EXCHANGED = "others can put another in its place"


@pytest.fixture
def folder(network_server: NetworkServer) -> Iterator[Path]:
    """A folder that only its owner writes, which the server can read."""
    made = network_server.authority.ca_file.with_name("folder")
    made.mkdir(mode=0o755)
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def copied(file: Path, folder: Path, *, mode: int = 0o644, folder_mode: int = 0o755) -> Path:
    """A copy in the folder, which is made if it is not there."""
    folder.mkdir(exist_ok=True)
    copy = folder / "copy.pem"
    copy.write_bytes(file.read_bytes())
    os.chown(copy, file.stat().st_uid, file.stat().st_gid)
    copy.chmod(mode)
    folder.chmod(folder_mode)
    return copy


def linked(link: Path, to: Path, *, folder_mode: int = 0o755) -> Path:
    """A link to it, in a folder that is made if it is not there."""
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(to)
    link.parent.chmod(folder_mode)
    return link


def shared(file: Path) -> Path:
    """The file, in a folder that the server's own group can write."""
    os.chown(file.parent, -1, pwd.getpwuid(server_uid()).pw_gid)
    file.parent.chmod(0o775)
    return file


def behind(link: Path, to: str) -> Path:
    """A link to that text as it stands."""
    os.symlink(to, link)  # noqa: PTH211 - Path would take the slash away
    return link


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (lambda ca, folder: copied(ca, folder, mode=0o646), "can be written by others"),
        (lambda ca, folder: copied(ca, folder, mode=0o664), "can be written by others"),
        (lambda ca, folder: linked(folder / "l" / "x", copied(ca, folder, mode=0o666)), "can be written by others"),
        (lambda ca, folder: copied(ca, folder, folder_mode=0o757), EXCHANGED),
        (lambda ca, folder: copied(ca, folder, folder_mode=0o775), EXCHANGED),
        (lambda ca, folder: copied(ca, folder / "below", folder_mode=0o777), EXCHANGED),
        (lambda ca, folder: copied(ca, opened(folder, 0o757) / "below"), EXCHANGED),
        (lambda ca, folder: linked(folder / "open" / "x", copied(ca, folder), folder_mode=0o757), EXCHANGED),
        (lambda ca, folder: linked(folder / "open" / "x", Path("../copy.pem"), folder_mode=0o775), EXCHANGED),
        (
            lambda ca, folder: linked(
                folder / "x", linked(folder / "open" / "y", copied(ca, folder), folder_mode=0o757)
            ),
            EXCHANGED,
        ),
        (
            lambda ca, folder: linked(folder / "open" / "x", copied(ca, folder).parent, folder_mode=0o757) / "copy.pem",
            EXCHANGED,
        ),
        (lambda ca, folder: f"{shared(copied(ca, folder))}/", EXCHANGED),
        (lambda ca, folder: f"{shared(copied(ca, folder))}//./", EXCHANGED),
        (lambda ca, folder: behind(folder / "x", f"{shared(copied(ca, folder))}/"), EXCHANGED),
    ],
    ids=[
        "file open to all",
        "file open to a group",
        "open file behind a link",
        "folder open to all",
        "folder open to a group",
        "folder below open to all",
        "folder further up",
        "link in an open folder",
        "link in a folder open to a group",
        "link behind a link",
        "link to a folder",
        "slash after the name",
        "dot after the name",
        "link with a slash after the name",
    ],
)
def test_what_others_could_have_put_there_is_not_believed(
    network_server: NetworkServer, lying_network: LyingNetwork, folder: Path, place: Place, said: str
) -> None:
    """Whoever can write the authority, or exchange it, can be the service."""
    file = place(network_server.authority.ca_file, folder)
    refused(network_server, lying_network, said, tls_ca_file=str(file))


def opened(folder: Path, mode: int) -> Path:
    """The folder, with that mode from now on."""
    folder.chmod(mode)
    return folder


def refused(network_server: NetworkServer, lying_network: LyingNetwork, said: str, **settings: str) -> None:
    """A login is refused for it, before anybody is connected to."""
    network_server.ask_at(lying_network.endpoint(), connect_timeout="100ms", **settings)
    refusal = network_server.server.refusal()
    assert refusal.startswith("tls_files_unusable")
    assert refusal.count(said) == 1, refusal
    assert lying_network.came == 0


def test_a_certificate_that_others_can_write_is_not_shown(
    network_server: NetworkServer, lying_network: LyingNetwork, folder: Path
) -> None:
    file = copied(network_server.own.cert_file, folder, mode=0o666)
    refused(network_server, lying_network, "can be written by others", tls_certificate_file=str(file))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640])
def test_a_key_that_others_can_read_is_not_used(
    network_server: NetworkServer, lying_network: LyingNetwork, folder: Path, mode: int
) -> None:
    """It is the server's user's; a group may read one of root's, as in a volume of Kubernetes."""
    file = copied(network_server.own.key_file, folder, mode=mode)
    refused(network_server, lying_network, "can be read by others", tls_key_file=str(file))


@pytest.mark.parametrize(
    "place",
    [
        lambda ca, folder: copied(ca, folder, folder_mode=0o1777),
        lambda ca, folder: copied(ca, folder / "below" / ".." / "below"),
        lambda ca, folder: linked(folder / "x", copied(ca, folder / "below")),
        lambda ca, folder: linked(linked(folder / "y", Path("./below/../below")) / "x", copied(ca, folder / "below")),
    ],
    ids=["sticky folder", "dots", "link", "link behind a link"],
)
def test_what_nobody_else_could_exchange_is_believed(
    network_server: NetworkServer, lying_network: LyingNetwork, folder: Path, place: Place
) -> None:
    (folder / "below").mkdir()
    file = place(network_server.authority.ca_file, folder)
    network_server.ask_at(lying_network.endpoint(), tls_ca_file=str(file))
    network_server.server.login().close()


def test_a_name_begins_in_the_data_directory(network_server: NetworkServer, lying_network: LyingNetwork) -> None:
    copied(network_server.authority.ca_file, network_server.server.data / "tls")
    network_server.ask_at(lying_network.endpoint(), tls_ca_file="tls/copy.pem")
    network_server.server.login().close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_nothing_of_another_user_is_believed(
    network_server: NetworkServer, lying_network: LyingNetwork, folder: Path
) -> None:
    file = copied(network_server.authority.ca_file, folder / "theirs")
    os.chown(file, STRANGER, STRANGER)
    said = f"must belong to root or the server's user, not to uid {STRANGER}"
    refused(network_server, lying_network, said, tls_ca_file=str(file))
    os.chown(file, 0, 0)
    os.chown(file.parent, STRANGER, STRANGER)
    refused(network_server, lying_network, f"which belongs to uid {STRANGER}", tls_ca_file=str(file))
    os.chown(file.parent, 0, 0)
    link = linked(folder / "x", file)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    refused(network_server, lying_network, f"of uid {STRANGER}", tls_ca_file=str(link))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_group_may_own_the_way_to_it_if_it_is_the_servers(
    network_server: NetworkServer, lying_network: LyingNetwork, folder: Path
) -> None:
    """The top of a claimed volume of Kubernetes can be written by the group of the pod."""
    file = copied(network_server.authority.ca_file, folder / "below")
    folder.chmod(0o775)
    refused(network_server, lying_network, EXCHANGED, tls_ca_file=str(file))
    os.chown(folder, 0, pwd.getpwuid(server_uid()).pw_gid)
    network_server.ask_at(lying_network.endpoint(), tls_ca_file=str(file))
    network_server.server.login().close()


def test_files_of_a_kubernetes_volume_are_taken(network_server: NetworkServer, lying_network: LyingNetwork) -> None:
    """They belong to root and are read by a group, and lie behind two links in a folder in memory: a sticky one."""
    volume = network_server.authority.ca_file.with_name("volume")
    (volume / "..2026").mkdir(parents=True)
    (volume / "..data").symlink_to("..2026")
    own, ca = network_server.own, network_server.authority.ca_file
    for name, source in (("tls.crt", own.cert_file), ("tls.key", own.key_file), ("ca.crt", ca)):
        file = volume / "..2026" / name
        file.write_bytes(source.read_bytes())
        if os.geteuid() == 0:
            os.chown(file, 0, pwd.getpwuid(server_uid()).pw_gid)
            file.chmod(0o640)
        else:
            file.chmod(0o600)
        (volume / name).symlink_to(f"..data/{name}")
    volume.chmod(0o1777)
    names = {"tls_certificate_file": "tls.crt", "tls_key_file": "tls.key", "tls_ca_file": "ca.crt"}
    files = {setting: str(volume / name) for setting, name in names.items()}
    network_server.ask_at(lying_network.endpoint(), **files)
    network_server.server.login().close()
