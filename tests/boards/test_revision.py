"""An array tells from which sources it was generated, if that is certain."""

import shutil
import subprocess

import pytest

from talon_boards.revision import build_number, source_revision


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in ("hdl/top.py", "talon/arch/params.py", "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    commit(tmp_path)
    return tmp_path


def git(folder, *arguments):
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder):
    git(folder, "commit", "-q", "-a", "-m", "change")
    return git(folder, "rev-parse", "HEAD")


def test_the_last_change_of_the_sources_counts_and_others_do_not(checkout):
    first = git(checkout, "rev-parse", "HEAD")
    assert source_revision(checkout) == first
    (checkout / "docs" / "page.md").write_text("two\n")
    assert source_revision(checkout) == first  # not committed, but no source
    commit(checkout)
    assert source_revision(checkout) == first
    (checkout / "hdl" / "top.py").write_text("two\n")
    second = commit(checkout)
    assert source_revision(checkout) == second != first


@pytest.mark.parametrize("name", ["hdl/top.py", "talon/arch/params.py", "hdl/new.py"])
def test_sources_that_were_changed_since_have_no_revision(checkout, name):
    (checkout / name).write_text("changed\n")
    assert source_revision(checkout) == ""


def test_no_checkout_has_no_revision(tmp_path):
    assert source_revision(tmp_path) == ""
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert source_revision(tmp_path) == ""


def test_the_number_is_the_first_32_bits():
    assert build_number("0123456789abcdef0123456789abcdef01234567") == 0x01234567
    assert build_number("") == 0
