"""The trained networks that ship with Talon, each with test images."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path

from talon.errors import BackendError

FOLDER = "mnist"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A network, images that it was not trained on, and the preset of an array for it.

    ``model``, ``images`` and ``script``, which made both, are names of files in one folder; the
    report of ``talon demo`` goes to ``report`` if no other path is given.
    """

    name: str
    model: str
    images: str
    script: str
    hw: str
    report: str

    def find(self) -> Path | None:
        """Return the folder with model and images: in the checkout, or else in the installation."""
        import talon

        checkout = Path(talon.__file__).resolve().parent.parent / "examples" / FOLDER
        installed = Path(sysconfig.get_path("data")) / "share" / "talon" / FOLDER
        for folder in (checkout, installed):
            if (folder / self.model).is_file() and (folder / self.images).is_file():
                return folder
        return None

    def require(self) -> tuple[Path, Path]:
        """Return the paths of model and images.

        Raises
        ------
        BackendError
            They are not there.
        """
        folder = self.find()
        if folder is None:
            raise BackendError(
                f"The shipped model {self.model} and its {self.images} are neither in a checkout "
                f"nor in this installation; make them with examples/{FOLDER}/{self.script}, or "
                "install talon-snn again"
            )
        return folder / self.model, folder / self.images


MNIST = Example(
    name="mnist",
    model="mnist_784_128_10.t1c",
    images="test_images.npz",
    script="train.py",
    hw="zynq_us_plus",
    report="build/talon-demo.html",
)
"""Fully connected, on black and white images."""

CONVSNN = Example(
    name="convsnn",
    model="convsnn.t1c",
    images="convsnn_test_images.npz",
    script="train_convsnn.py",
    hw="zynq_us_plus_map",
    report="build/talon-demo-convsnn.html",
)
"""A convolution, a pool and two layers of neurons, on grey images."""

EXAMPLES = {example.name: example for example in (MNIST, CONVSNN)}
