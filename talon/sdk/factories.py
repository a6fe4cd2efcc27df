"""Models that are made by a function of the user's own code: ``package.module:function``."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from talon.errors import TalonError

_NAME = r"[^\W\d]\w*"
_FACTORY = re.compile(rf"({_NAME}(?:\.{_NAME})*):({_NAME}(?:\.{_NAME})*)")


def is_factory(text: str) -> bool:
    """Tell whether a text names a function of a module rather than a file."""
    return _FACTORY.fullmatch(text) is not None and not Path(text).exists()


def make_model(text: str) -> Any:
    """Import a module, call its function without arguments, and return what it gives.

    The module is looked for in the working folder as well, as ``python -m`` does. This runs code:
    it is the user's, named on the command line, and never comes from a file of a network.

    Raises
    ------
    TalonError
        There is no such module or function, or it needs arguments.
    """
    match = _FACTORY.fullmatch(text)
    if match is None:
        raise TalonError(f"A model from Python is named package.module:function, got {text!r}")
    module_name, path = match.groups()
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the user's module lacks something of its own
        raise TalonError(
            f"There is no module {module_name!r}; give package.module:function, from the folder "
            "that the package is in"
        ) from None
    for part in path.split("."):
        if not hasattr(found, part):
            raise TalonError(f"{module_name} has no {path!r}; give package.module:function")
        found = getattr(found, part)
    if not callable(found):
        raise TalonError(f"{text} is {type(found).__name__}, not a function that makes a model")
    return found()
