"""The faults are many, distinct and up to date, and the program that applies them can tell."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # its data classes look themselves up there
    spec.loader.exec_module(module)
    return module


mutants = load()
FAULTS = mutants.load_faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_matches_its_file_once_and_names_tests_that_exist(fault):
    assert (ROOT / fault.path).read_text().count(fault.old) == 1
    assert fault.old != fault.new
    assert fault.tests
    assert all((ROOT / test.partition("::")[0]).exists() for test in fault.tests)


def test_faults_are_distinct_and_in_gateware_and_golden_model():
    assert len({(fault.path, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS) >= 30
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    homes = Counter(fault.path.split("/")[0] for fault in FAULTS)
    assert min(homes["hdl"], homes["sim"]) >= 10


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "twice.py").write_text("def twice(x):\n    return x + x\n\n\n# a remark\n")
    (tmp_path / "test_twice.py").write_text(
        "from twice import twice\n\n\ndef test_twice():\n    assert twice(3) == 6\n"
    )
    return tmp_path


def make_fault(old, new):
    return mutants.Fault(
        name="example", path="twice.py", old=old, new=new, tests=("test_twice.py",)
    )


def test_fault_that_a_test_notices_is_caught(tree):
    verdict = mutants.judge(tree, make_fault("x + x", "x * x"))
    assert verdict.caught
    assert (tree / "twice.py").read_text().startswith("def twice(x):\n    return x + x\n")


def test_fault_that_breaks_the_import_is_caught(tree):
    assert mutants.judge(tree, make_fault("def twice", "def thrice")).caught


def test_change_that_no_test_notices_survives(tree):
    verdict = mutants.judge(tree, make_fault("# a remark", "# another"))
    assert not verdict.caught
    assert verdict.how == "every test passed"


def test_missing_tests_are_no_catch(tree):
    (tree / "test_twice.py").unlink()
    verdict = mutants.judge(tree, make_fault("x + x", "x * x"))
    assert not verdict.caught
    assert verdict.how.startswith("pytest ended with 4")


def test_stale_fault_is_refused(tree):
    with pytest.raises(ValueError, match=r"Fault 'example' must match twice.py once, not 0 times"):
        mutants.apply_fault(tree, make_fault("x - x", "x"))


def test_first_failure_is_named():
    output = "...\nFAILED tests/a/test_b.py::test_c[1] - assert 1 == 2\nFAILED tests/z.py::test_y\n"
    assert mutants.first_failure(output) == "tests/a/test_b.py::test_c[1]"
