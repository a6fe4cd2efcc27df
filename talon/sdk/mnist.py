"""The MNIST model and test images that ship with Talon."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from talon.errors import BackendError

MODEL = "mnist_784_128_10.t1c"
IMAGES = "test_images.npz"


def find_mnist() -> Path | None:
    """Return the folder that holds both files: in the checkout, or else in the installation."""
    import talon

    checkout = Path(talon.__file__).resolve().parent.parent / "examples" / "mnist"
    installed = Path(sysconfig.get_path("data")) / "share" / "talon" / "mnist"
    for folder in (checkout, installed):
        if (folder / MODEL).is_file() and (folder / IMAGES).is_file():
            return folder
    return None


def require_mnist() -> tuple[Path, Path]:
    """Return the paths of model and images.

    Raises
    ------
    BackendError
        They are not there.
    """
    folder = find_mnist()
    if folder is None:
        raise BackendError(
            f"The shipped model {MODEL} and its {IMAGES} are neither in a checkout nor in this "
            "installation; make them with examples/mnist/train.py, or install talon-snn again"
        )
    return folder / MODEL, folder / IMAGES
