"""A folder of a build is there as a whole or not at all, and nothing foreign is lost."""

import pytest

from talon.errors import TalonError
from talon_boards.folder import MANIFEST, check_place, write_folder

FILES = {MANIFEST: "{}\n", "rtl/top.v": "module top; endmodule\n"}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_new_folder(tmp_path):
    write_folder(tmp_path / "out", FILES)
    assert contents(tmp_path / "out") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    write_folder(tmp_path / "out", FILES)
    assert contents(tmp_path / "out") == FILES


def test_a_build_is_replaced_by_force_alone(tmp_path):
    folder = tmp_path / "out"
    write_folder(folder, {**FILES, "old.txt": "old"})
    with pytest.raises(TalonError, match=r"holds a build already; --force replaces it"):
        write_folder(folder, FILES)
    assert "old.txt" in contents(folder)
    write_folder(folder, FILES, force=True)
    assert contents(folder) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_files_of_others_are_never_replaced(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(TalonError, match=r"files that talon build did not write, and --force does"):
        write_folder(tmp_path, FILES, force=force)
    assert contents(tmp_path) == {"thesis.tex": "years of work"}


def test_places_that_cannot_be(tmp_path):
    with pytest.raises(TalonError, match=r"none' does not exist; make it first"):
        check_place(tmp_path / "none" / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(TalonError, match=r"file' is no folder; choose another place with -o"):
        check_place(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TalonError, match=r"link' is no folder"):
        check_place(tmp_path / "link")


def test_a_write_that_fails_leaves_what_was(tmp_path):
    folder = tmp_path / "out"
    write_folder(folder, FILES)
    with pytest.raises(ValueError, match=r"must stay inside the folder, not '\.\./evil'"):
        write_folder(folder, {**FILES, "../evil": "x"}, force=True)
    assert contents(folder) == FILES
    with pytest.raises(ValueError, match=r"must have a talon_build\.json"):
        write_folder(folder, {"a": "b"}, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_old_build_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    write_folder(folder, FILES)
    rename = type(folder).rename

    def fails_on_new(self, target):
        if self.name == "new":
            raise OSError("no space")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", fails_on_new)
    with pytest.raises(OSError, match="no space"):
        write_folder(folder, {**FILES, "more": "x"}, force=True)
    assert contents(folder) == FILES
