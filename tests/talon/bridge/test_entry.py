"""`snntorch.export_talonir` and `import_talonir`, as the published tutorial imports them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FINDER = Path(__file__).parents[3] / "talon" / "bridge" / "entry" / "finder.py"


def run(code: str) -> str:
    """Run code in a fresh Python, with the finder as an install loads it."""
    load = f"exec(compile(open({str(FINDER)!r}).read(), 'finder', 'exec'), {{'__name__': 'f'}})\n"
    done = subprocess.run(
        [sys.executable, "-c", load + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_finder_imports_nothing_and_is_asked_last():
    code = (
        "import sys; print([n for n in ('talon', 'numpy', 'torch', 'snntorch') if n in sys.modules]"
        ", type(sys.meta_path[-1]).__name__, sys.meta_path[-1].__name__)"
    )
    assert run(code) == "[] type Finder"


def test_other_names_are_left_to_others():
    code = (
        "import sys\nfinder = sys.meta_path[-1]\n"
        "print([finder.find_spec(n) for n in ('snntorch', 'snntorch.functional', 'talon', 'x')])"
    )
    assert run(code) == "[None, None, None, None]"


def test_modules_that_snntorch_has_itself_win(tmp_path):
    package = tmp_path / "snntorch"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "export_talonir.py").write_text("whose = 'theirs'\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import snntorch.export_talonir as e, snntorch.import_talonir as i\n"
        "print(e.whose, i.import_from_ir.__name__)"
    )
    assert run(code) == "theirs import_from_ir"


def test_both_ways_through_snntorch():
    torch = pytest.importorskip("torch")
    snn = pytest.importorskip("snntorch")
    pytest.importorskip("_talon_snntorch", reason="Talon is on the path but not installed")
    from snntorch.export_talonir import export_to_ir
    from snntorch.import_talonir import import_from_ir

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), snn.Leaky(0.8, init_hidden=True))
    graph = export_to_ir(model, torch.zeros(1, 5))
    x = torch.rand(20, 2, 5) * 3
    executor, state = import_from_ir(graph), None
    for frame in x:
        with torch.no_grad():
            found, state = executor(frame, state)
            np.testing.assert_array_equal(found.numpy(), model(frame).numpy())
