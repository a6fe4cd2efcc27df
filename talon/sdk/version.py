"""What is installed, in which version."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_OTHERS = ("numpy", "h5py", "rustworkx", "scipy", "amaranth", "cocotb", "torch", "snntorch")


def get_versions() -> dict[str, str]:
    """Return the versions of Talon, of its file format, of Python and of what Talon may use.

    Packages that are not installed are left out.
    """
    from talon import __version__
    from talon.ir import __version__ as format_version

    found = {
        "talon": __version__,
        "talon.ir": format_version,
        "python": platform.python_version(),
    }
    installed = {name: _version_of(name) for name in _OTHERS}
    return found | {name: text for name, text in installed.items() if text is not None}


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def info() -> str:
    """Return :func:`get_versions` as a text, a line each."""
    return "\n".join(f"{name} {text}" for name, text in get_versions().items())
