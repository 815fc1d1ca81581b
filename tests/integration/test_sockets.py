"""A socket's path belongs to whoever bound it last: no service takes its successor's away."""

from pathlib import Path

from pgbearer.sockets import bind


def test_a_successors_socket_stays_even_if_it_got_the_same_inode(tmp_path: Path) -> None:
    """ext4 gives the number of a deleted inode to the next file: a service that drains outlives its own inode."""
    path, kept = tmp_path / "login" / "login.sock", tmp_path / "login" / "kept"
    bound = bind(path, mode=0o660, folder_mode=0o750)
    with bound.socket:
        kept.hardlink_to(path)
        bound.remove()
    assert not path.exists()
    kept.rename(path)  # as the successor's, of the same number
    bound.remove()
    assert path.is_socket()
