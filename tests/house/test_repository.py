"""What is tracked is the project's own, small, and hangs together."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = {".t1c", ".npz", ".png", ".aedat4"}
MAX_BYTES = 1_000_000

# Written in pieces, because this file is tracked too.
FOREIGN_PATHS = [f"/{name}/" for name in ("work", "root", "home", "tmp")] + ["../" + "shared"]
FOREIGN_WORDS = ["assis" + "tant", "chat" + "bot", "language " + "model", "work" + "place"]


def tracked():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts():
    return [(path, path.read_text()) for path in tracked() if path.suffix not in BINARY]


def foreign(text):
    """Return what a text says of machines and matters outside of the project."""
    found = [path for path in FOREIGN_PATHS if path in text]
    return found + [word for word in FOREIGN_WORDS if word in text.lower()]


def test_nothing_points_out_of_the_repository():
    said = {str(path.relative_to(ROOT)): foreign(text) for path, text in texts()}
    assert {path: words for path, words in said.items() if words} == {}


@pytest.mark.parametrize(
    "text", ["see /wo" + "rk/main", "an Assis" + "tant wrote", "cd ../sha" + "red"]
)
def test_foreign_text_is_found(text):
    assert foreign(text)


def test_tracked_files_are_small():
    large = {path.name: path.stat().st_size for path in tracked()}
    assert {name: size for name, size in large.items() if size > MAX_BYTES} == {}


def test_texts_are_clean():
    untidy = []
    for path, text in texts():
        if "\r" in text or re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
            untidy.append(path.name)
        if text and (not text.endswith("\n") or re.search(r"[ \t]$", text, re.MULTILINE)):
            untidy.append(path.name)
    assert untidy == []


def test_links_between_pages_lead_somewhere():
    pages = [(path, text) for path, text in texts() if path.suffix == ".md"]
    links = [
        (path, target)
        for path, text in pages
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
        if not re.match(r"[a-z]+:", target) and path.name != "0000-template.md"
    ]
    assert links
    broken = [(path.name, target) for path, target in links if not (path.parent / target).exists()]
    assert broken == []


def test_makefile_runs_only_tools_that_exist():
    named = re.findall(
        r"\b((?:tools|benchmarks|examples)/[\w/.-]+)", (ROOT / "Makefile").read_text()
    )
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_passes_the_exit_code_of_make_on(tmp_path):
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    make.chmod(0o755)
    command = [str(ROOT / ".ci" / "run")]
    environment = {"PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("test\n", 7)
