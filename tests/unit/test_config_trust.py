"""Settings and CA files that others can write are not taken."""

from pathlib import Path
from typing import Any

import pytest

from pgbearer.config import ConfigError, load
from pgbearer.errors import PgbearerError
from tests.unit.fix_settings import GOOD, found


class TestTrust:
    """Settings and CA files that others can write are not taken."""

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o664])
    def test_a_file_that_others_can_write_is_refused(self, write: Any, mode: int) -> None:
        path = write(GOOD)
        path.chmod(mode)
        assert "writable by group or others" in found(path)[0]

    def test_a_file_that_is_only_asked_may_be_a_teams(self, write: Any) -> None:
        path = write(GOOD)
        path.chmod(0o664)
        path.parent.chmod(0o775)
        loaded = load(path, in_force=False)
        assert {problem.severity for problem in loaded.warnings if problem.about_trust} == {"warning"}
        with pytest.raises(ConfigError):
            load(path)

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
    def test_a_folder_that_others_can_write_is_refused(self, write: Any, mode: int) -> None:
        path = write(GOOD)
        path.parent.chmod(mode)
        assert "writable by group or others" in found(path)[0]

    @pytest.mark.parametrize(("mode", "trusted"), [(0o757, False), (0o777, False), (0o1777, True), (0o755, True)])
    def test_nobody_may_replace_a_folder_on_the_way(self, tmp_path: Path, mode: int, *, trusted: bool) -> None:
        path = tmp_path / "shared" / "etc" / "pgbearer.yaml"
        path.parent.mkdir(mode=0o755, parents=True)
        path.write_text(GOOD)
        path.chmod(0o600)
        (tmp_path / "shared").chmod(mode)
        assert any("lets others replace what is in it" in line for line in found(path)) != trusted

    def test_a_group_of_its_own_may_write_further_up_and_no_other(self, tmp_path: Path) -> None:
        folder = tmp_path / "shared" / "etc"
        folder.mkdir(mode=0o755, parents=True)
        folder.parent.chmod(0o775)
        path = folder / "pgbearer.yaml"
        path.write_text(GOOD)
        path.chmod(0o600)
        assert found(path) == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.getegid", lambda: 4242)
            assert "lets others replace what is in it (mode 0775)" in found(path)[0]

    def test_a_link_is_as_good_as_both_folders(self, write: Any, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        link = tmp_path / "open" / "pgbearer.yaml"
        link.symlink_to(write(GOOD))
        assert "writable by group or others" in found(link)[0]

    def test_a_file_of_somebody_else_is_refused(self, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(GOOD)
        monkeypatch.setattr("os.geteuid", lambda: 4242)
        owner = path.stat().st_uid
        if owner == 0:
            import os

            os.chown(path, 4343, -1)
            owner = 4343
        assert f"belongs to uid {owner}, neither root nor this user" in found(path)[0]

    @pytest.mark.parametrize("mode", [0o644, 0o666, None])
    def test_the_files_it_names_are_held_to_the_same(self, write: Any, tmp_path: Path, mode: int | None) -> None:
        ca = tmp_path / "ca.pem"
        if mode is not None:
            ca.write_text("")
            ca.chmod(mode)
        problems = found(write(GOOD.replace("    clients:", f"    ca_file: {ca}\n    clients:")))
        missing = f"{ca} cannot be read: No such file"
        expected = {0o644: [], 0o666: ["writable by group or others"], None: [missing]}[mode]
        assert len(problems) == len(expected)
        assert all(part in line for part, line in zip(expected, problems, strict=True))

    def test_who_only_asks_needs_none_of_the_files_it_names(self, write: Any) -> None:
        path = write(GOOD.replace("    clients:", "    ca_file: /nonexistent/ca.crt\n    clients:"))
        loaded = load(path, in_force=False)
        assert [str(one).partition("ca_file: ")[2] for one in loaded.warnings] == [
            "warning: /nonexistent/ca.crt cannot be read: No such file or directory"
        ]
        with pytest.raises(ConfigError):
            load(path)

    @pytest.mark.parametrize("kind", ["missing", "folder", "too large"])
    def test_a_file_that_cannot_be_read(self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "pgbearer.yaml"
        if kind == "folder":
            path.mkdir()
        if kind == "too large":
            path.write_text(GOOD)
            monkeypatch.setattr("pgbearer.config.sources.MAX_BYTES", 10)
        with pytest.raises(PgbearerError, match="cannot be read") as caught:
            load(path)
        assert caught.value.exit_code == 2
