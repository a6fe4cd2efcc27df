"""What the target of serial boards asks for."""

from pathlib import Path

import pytest

from talon.backend.target import Target
from talon.errors import BackendError
from talon_serial.link import Link
from talon_serial.target import SerialTarget

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_it_is_a_target_that_is_installed():
    assert isinstance(SerialTarget(port="/dev/ttyUSB0"), Target)
    assert f'serial = "{SerialTarget.__module__}:{SerialTarget.__name__}"' in PYPROJECT.read_text()


def test_it_needs_a_port():
    with pytest.raises(
        BackendError, match=r"^Target 'serial' needs the port of the board, such as"
    ):
        SerialTarget()


@pytest.mark.parametrize("options", [{"patience_s": 0}, {"n_repeats": -1}])
def test_a_link_needs_patience(options):
    with pytest.raises(ValueError, match=r"^Link must have positive patience and not a negative"):
        Link(object(), baud=1, **options)
