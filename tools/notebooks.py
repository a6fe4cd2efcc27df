"""Run the notebooks of examples/notebooks, and keep what they show in another folder.

usage: python tools/notebooks.py [-o FOLDER] [NOTEBOOK ...]

Notebooks are kept as source, without outputs; the copies with outputs go to build/notebooks. One
whose packages are not all installed (the entry talon.needs of its metadata) is left out, and says
so. The exit status is 1 if a cell of any fails, and 2 if there was nothing to run.
"""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "notebooks"
SECONDS = 900  # a cell may build a simulator
QUIET = ["--log-level=ERROR"]  # the kernel warns of what is so on every machine


def missing(notebook):
    """Return the names of the modules that a notebook needs and that are not installed."""
    return [name for name in notebook.metadata["talon"]["needs"] if find_spec(name) is None]


def run(notebook, folder):
    """Run a notebook in place, in a fresh kernel of this Python; return its error, or None."""
    # Without folders of kernels "python3" is this Python, whatever the user has installed under it.
    manager = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
    )
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, km=manager, timeout=SECONDS, resources=resources)
    client.extra_arguments = QUIET
    try:
        client.execute()
    except CellExecutionError as error:
        return str(error)
    return None


def main():
    """Run the notebooks that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "notebooks")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    n_run = n_failed = 0
    for path in options.notebooks or sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        lacks = missing(notebook)
        if lacks:
            print(f"{path.name}: left out, needs {', '.join(lacks)}", flush=True)
            continue
        start = time.monotonic()
        error = run(notebook, path.parent)
        seconds = time.monotonic() - start
        nbformat.write(notebook, options.output / path.name)
        print(f"{path.name}: {'FAILED' if error else 'ran'}, {seconds:.1f} s", flush=True)
        n_run, n_failed = n_run + 1, n_failed + (error is not None)
        if error:
            print(error, file=sys.stderr)
    print(f"outputs: {options.output}")
    return 1 if n_failed else 0 if n_run else 2


if __name__ == "__main__":
    raise SystemExit(main())
