"""From which sources an array was generated: what its register BUILD tells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("hdl", "talon/arch")
"""What the Verilog of an array is made from."""


def source_revision(root: Path = ROOT) -> str:
    """Return the git hash of the last change of the gateware's sources.

    Empty if ``root`` is no checkout, if git is not there, or if the sources were changed since.
    """
    if not (root / ".git").exists() or shutil.which("git") is None:
        return ""
    if _git(root, "status", "--porcelain") != "":
        return ""
    return _git(root, "log", "-1", "--format=%H") or ""


def build_number(revision: str) -> int:
    """Return the first 32 bits of a git hash; 0 if it is empty."""
    return int(revision[:8] or "0", 16)


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-c", f"safe.directory={root}", *arguments, "--", *SOURCES]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    return None if done.returncode else done.stdout.strip()
