"""``talon board bundle``: what is packed and refused, and that it installs without a network."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from click.testing import CliRunner

from talon.backend.programs import compile as compile_graph
from talon.errors import BackendError
from talon.sdk.cli import main
from talon.testing import lif_chain
from talon_boards.bundle.wheels import TARGETS, dependencies, repack, talon_wheel
from talon_pynq.bundle import BoardBundle

NEEDED = ("numpy", "h5py", "rustworkx", "click", "rich", "markdown-it-py", "mdurl", "pygments")
HANDOFF = """<EDKSYSTEM><SYSTEMINFO DEVICE="xczu7ev"/><MODULES>
<MODULE MODTYPE="talon_array"/><MODULE MODTYPE="axi_dma"/></MODULES></EDKSYSTEM>"""
NOTEBOOK = "notebooks/program-on-the-array.ipynb"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return talon_wheel(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "chain.t1p"
    compile_graph(lif_chain([30, 24, 10]), hw="tiny_2x2").save(path)
    return path


@pytest.fixture
def overlay(tmp_path):
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "talon_zcu104.bit").write_bytes(b"bits")
    (folder / "talon_zcu104.hwh").write_text(HANDOFF)
    return folder / "talon_zcu104.bit"


@pytest.fixture
def bundle(program, wheel):
    def run(output, *options, named=("--no-wheels",)):
        words = ["board", "bundle", str(program), "-o", str(output), "--wheel", str(wheel)]
        done = CliRunner().invoke(main, [*words, *named, *map(str, options), "--json"])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        found = json.loads(done.stdout) if done.stdout else {}
        return done.exit_code, found, found.get("error", {}).get("message", done.stderr)

    return run


def test_a_bundle_has_all_that_it_says(bundle, program, overlay, tmp_path):
    out = tmp_path / "out"
    status, facts, _ = bundle(out, "--board", "zcu104", "--overlay", overlay)
    assert status == 0
    assert facts["made_for"] == {"python": "3.10", "machine": "aarch64"}
    assert (facts["array"], facts["board"]) == ("tiny_2x2", "zcu104")
    assert facts["missing"] == ["the wheels that Talon needs: they must be on the board"]
    assert (out / facts["program"]).read_bytes() == program.read_bytes()
    assert (out / facts["overlay"]).read_bytes() == b"bits"
    assert (out / "overlay" / "talon_zcu104.hwh").read_text() == HANDOFF
    assert (out / NOTEBOOK).is_file() and facts["notebooks"] == [NOTEBOOK]
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert there == {*facts["files"], "bundle.json", "SHA256SUMS"}
    for name, digest in facts["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=out, check=False).returncode == 0
    page = (out / "README.md").read_text()
    assert "the bitstream and its `.hwh`" in page and "they must be on the board" in page
    assert list(tmp_path.glob(".talon-bundle-*")) == []


def test_the_board_reads_what_was_packed(bundle, program, overlay, tmp_path, monkeypatch):
    monkeypatch.delenv("TALON_BUNDLE", raising=False)
    out = tmp_path / "out"
    assert bundle(out, "--overlay", overlay)[0] == 0
    found = BoardBundle.find(out / "notebooks")
    assert found.program.read_bytes() == program.read_bytes()
    assert found.bitfile == str(out / "overlay" / "talon_zcu104.bit")
    assert found.check() == len(found.facts["files"]) - 1  # without the notebook
    monkeypatch.chdir(out / "wheels")
    assert BoardBundle.find().folder == out
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackendError, match=r"nor a folder around it is a bundle; set TALON_BUND"):
        BoardBundle.find()
    monkeypatch.setenv("TALON_BUNDLE", str(out))
    assert BoardBundle.find().folder == out
    (out / found.facts["program"]).write_bytes(b"other")
    with pytest.raises(BackendError, match=r"chain\.t1p is not what was packed"):
        found.check()
    (out / found.facts["program"]).unlink()
    with pytest.raises(BackendError, match=r"lacks program/chain\.t1p; copy it again"):
        found.check()
    (out / "bundle.json").write_text('{"format": 2}')
    with pytest.raises(BackendError, match="must be of format 1, not 2"):
        BoardBundle.open(out)
    (out / "bundle.json").write_text("{")
    with pytest.raises(BackendError, match=r"bundle\.json is damaged"):
        BoardBundle.open(out)
    with pytest.raises(BackendError, match=r"has no bundle\.json"):
        BoardBundle.open(tmp_path)


def test_without_a_bitstream_it_says_how_to_make_one(bundle, tmp_path):
    status, facts, _ = bundle(tmp_path / "out", "--board", "zcu104")
    assert status == 0 and facts["overlay"] is None
    assert "`talon build --board zcu104 --hw tiny_2x2` makes it" in facts["missing"][0]
    assert facts["missing"][0] in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(BackendError, match="packed without a bitstream; pack it again with --ov"):
        _ = BoardBundle.open(tmp_path / "out").bitfile


def test_an_archive_is_the_same_each_time(bundle, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert bundle(tmp_path / name / "board.zip")[0] == 0
    one, two = (tmp_path / name / "board.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert bundle(tmp_path / "BOARD.ZIP")[0] == 0 and zipfile.is_zipfile(tmp_path / "BOARD.ZIP")
    with zipfile.ZipFile(one) as archive:
        assert archive.getinfo("board/install.sh").external_attr >> 16 == 0o755
        archive.extractall(tmp_path)
    assert BoardBundle.open(tmp_path / "board").check() == 4


def test_a_notebook_that_was_run_and_saved_is_no_damage(bundle, tmp_path):
    out = tmp_path / "out"
    assert bundle(out)[0] == 0
    with (out / NOTEBOOK).open("a") as notebook:
        notebook.write(" ")
    assert BoardBundle.open(out).check() == 4
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=out, check=False).returncode == 0


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_place_that_is_taken_is_left_alone(bundle, tmp_path, name):
    out = tmp_path / name
    assert bundle(out)[0] == 0
    status, _, said = bundle(out)
    assert status == 1 and "holds a bundle already; --force replaces it" in said
    assert bundle(out, "--force", "--board", "kv260")[0] == 0
    before = out.read_bytes() if out.is_file() else (out / "bundle.json").read_bytes()
    (tmp_path / "empty").mkdir()
    status, _, said = bundle(out, "--force", named=("--wheels", str(tmp_path / "empty")))
    assert status == 1 and "pip could not find the wheels that it needs for Python 3.10" in said
    assert before == (out.read_bytes() if out.is_file() else (out / "bundle.json").read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", name]


def test_other_files_are_never_replaced(bundle, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    other = tmp_path / "other.zip"
    other.write_text("x")
    for path in (mine, other):
        status, _, said = bundle(path, "--force")
        assert status == 1 and "is there and no bundle; choose another place" in said
    assert bundle(tmp_path / "none" / "out")[2].endswith("does not exist; make it first")
    (tmp_path / "empty").mkdir()
    assert bundle(tmp_path / "empty")[0] == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda bit: bit.with_suffix(".hwh").unlink(), r"must have talon_zcu104.hwh beside it"),
        (lambda bit: bit.with_suffix(".hwh").write_text("<a>"), "is no hardware handoff"),
        (
            lambda bit: bit.with_suffix(".hwh").write_text(HANDOFF.replace("talon_array", "x")),
            "must have one talon_array, not 0",
        ),
        (
            lambda bit: bit.with_suffix(".hwh").write_text(HANDOFF.replace("zu7ev", "zu3eg")),
            "for the device xczu3eg, and board 'zcu104' has xczu7ev",
        ),
        (
            lambda bit: (bit.parent / "talon_build.json").write_text(
                '{"hardware_hash": "00000001", "array": "other"}'
            ),
            "of the array 'other', and the program is for 'tiny_2x2'; compile it with --hw other",
        ),
        (lambda bit: (bit.parent / "talon_build.json").write_text("[]"), "json is damaged"),
    ],
)
def test_an_overlay_that_does_not_fit_is_refused(bundle, overlay, tmp_path, change, match):
    change(overlay)
    status, _, said = bundle(tmp_path / "out", "--board", "zcu104", "--overlay", overlay)
    assert status == 1 and match in said
    assert not (tmp_path / "out").exists()


def test_slips_on_the_command_line(bundle, tmp_path, overlay, wheel, program):
    out = tmp_path / "out"
    assert "Board must be one of " in bundle(out, "--board", "none")[2]
    assert "exclude each other" in bundle(out, "--wheels", tmp_path)[2]
    assert "must be a .bit file" in bundle(out, "--overlay", wheel)[2]
    for name in ("talon_zcu104.bit", "talon_snn-1.whl", "numpy-1.0-py3-none-any.whl"):
        other = tmp_path / name
        other.write_bytes(b"")
        said = bundle(out, "--wheel", other)[2]
        assert "must be one of talon-snn, " in said and f"not {name!r}" in said
    assert not out.exists()


def test_the_version_is_that_of_the_wheel_that_is_given(bundle, tmp_path):
    wheel = fake_wheel(tmp_path, "talon_snn", "0.0.7", "py3-none-any")
    status, facts, _ = bundle(tmp_path / "out", "--wheel", wheel)
    assert status == 0 and facts["talon"] == "0.0.7"
    script = (tmp_path / "out" / "install.sh").read_text()
    assert "wheels/talon_snn-0.0.7-py3-none-any.whl\n" in script
    assert "talon-snn==0.0.7\n" in script
    assert "| Talon 0.0.7 |" in (tmp_path / "out" / "README.md").read_text()


def fake_wheel(folder, name, version, tag, requires=()):
    path = folder / f"{name}-{version}-{tag}.whl"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    head = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        archive.writestr(f"{head}/METADATA", about)
        archive.writestr(f"{head}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{head}/RECORD", "")
    return path


def test_wheels_are_those_of_the_board(tmp_path, wheel):
    source, made = tmp_path / "source", tmp_path / "made"
    source.mkdir()
    made.mkdir()
    board, machine = "manylinux_2_17_aarch64", "manylinux_2_17_x86_64"
    wanted = [
        fake_wheel(source, "numpy", "1.26.4", f"cp310-cp310-{board}"),
        fake_wheel(source, "h5py", "3.16.0", "cp310-cp310-manylinux_2_28_aarch64"),
        fake_wheel(source, "rustworkx", "0.18.1", f"cp310-abi3-{board}"),
        fake_wheel(source, "click", "8.1.7", "py3-none-any"),
        fake_wheel(source, "rich", "15.0.0", "py3-none-any", ["mdurl"]),
        fake_wheel(source, "mdurl", "0.1.2", "py3-none-any"),
    ]
    fake_wheel(source, "numpy", "2.2.0", f"cp310-cp310-{board}")  # PYNQ takes no NumPy 2
    fake_wheel(source, "h5py", "3.17.0", f"cp310-cp310-{machine}")
    fake_wheel(source, "h5py", "3.18.0", f"cp311-cp311-{board}")
    fake_wheel(source, "h5py", "3.19.0", "cp310-cp310-manylinux_2_39_aarch64")  # a newer glibc
    found = dependencies(wheel, made, target=TARGETS["pynq3"], source=source)
    assert [path.name for path in found] == sorted(path.name for path in wanted)
    for path in made.iterdir():
        path.unlink()
    newer = fake_wheel(source, "numpy", "1.26.4", f"cp312-cp312-{board}")
    h5py = fake_wheel(source, "h5py", "3.16.0", "cp312-cp312-manylinux_2_39_aarch64")
    found = dependencies(wheel, made, target=TARGETS["pynq4"], source=source)
    assert [path.name for path in found] == sorted(path.name for path in (newer, h5py, *wanted[2:]))
    wanted[1].unlink()
    with pytest.raises(BackendError, match=r"pip could not find the wheels .*h5py"):
        dependencies(wheel, tmp_path, target=TARGETS["pynq3"], source=source)


def test_an_editable_installation_cannot_be_packed_again(tmp_path, monkeypatch):
    class Editable:
        name, files = "x", ["x.py"]

        def read_text(self, name):
            return "Tag: py3-none-any\n" if name == "WHEEL" else '{"editable": true}'

    with pytest.raises(BackendError, match="x is installed as editable; give its wheel"):
        repack(Editable(), tmp_path)


@pytest.fixture(scope="module")
def needed(tmp_path_factory):
    """Return a folder with the wheels that Talon needs, made of what is installed here."""
    folder = tmp_path_factory.mktemp("needed")
    for name in NEEDED:
        repack(distribution(name), folder)
    return folder


def offline(*words, **options):
    """Run a command that has no way to a package index."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON", "TALON_"))
    }
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    environment |= options.pop("env", {})
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_it_installs_without_a_network(bundle, needed, wheel, program, tmp_path):
    out = tmp_path / "out"
    status, facts, said = bundle(out, "--for", "here", named=("--wheels", str(needed)))
    assert status == 0, said
    assert len(facts["wheels"]) == 1 + len(NEEDED)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    said = offline("sh", str(out / "install.sh"), env={"PYTHON": str(python)}, cwd=tmp_path)
    assert said.splitlines()[-1] == f"install: Talon {facts['talon']} is there"
    code = (
        "import sys, talon, numpy; from importlib.metadata import entry_points as e;"
        "program = talon.load(sys.argv[1]);"
        "port, = program.network.inputs;"
        "raster = numpy.random.default_rng(1).random((5, 2, port.n)) < 0.5;"
        "run = program.run(raster);"
        "print(int(sum(s.sum() for s in run.spikes.values())));"
        "print(*(x.value for g in ('pynq.notebooks', 'pynq.lib') for x in e(group=g)))"
    )
    spikes, points = offline(str(python), "-c", code, str(program), cwd=tmp_path).splitlines()
    assert int(spikes) > 0
    assert points == "talon_pynq.notebooks talon_pynq.overlay"

    # What was installed can be packed again: the wheel has the same files.
    again = [str(python.with_name("talon")), "board", "bundle", str(program), "-o", "again"]
    offline(*again, "--no-wheels", "--for", "here", cwd=tmp_path)
    (copy,) = (tmp_path / "again" / "wheels").iterdir()
    assert copy.name == wheel.name
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(copy) as second:
        names = set(first.namelist())
        assert set(second.namelist()) == names
        for name in names - {n for n in names if n.endswith("/RECORD")}:
            assert first.read(name) == second.read(name), name

    (out / facts["program"]).write_bytes(b"x")
    done = subprocess.run(
        ["sh", str(out / "install.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "files are not what was packed; copy the bundle" in done.stderr


def test_another_python_is_refused(bundle, tmp_path):
    out = tmp_path / "out"
    assert bundle(out)[0] == 0
    older = tmp_path / "python"
    older.write_text('#!/bin/sh\ncase "$1" in --version) echo Python 3.9.1;; *) exit 1;; esac\n')
    older.chmod(0o755)
    done = subprocess.run(
        ["sh", str(out / "install.sh")],
        env={**os.environ, "PYTHON": str(older)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the wheels are for Python 3.10, not for Python 3.9.1; pack again" in done.stderr
    assert Path(out / "install.sh").stat().st_mode & 0o111
