"""The image interpreter as a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from talon.backend.passes import Passing, has_passes, image_of, run_passes
from talon.backend.target import Progress, Runnable
from talon.compiler.network import IntArray
from talon.image.container import memories, read_image
from talon_sim.interpreter.array import Interpreter
from talon_sim.trace import Trace


class InterpreterTarget:
    """Runs the bytes of an image, with events in a random order that the seed fixes."""

    name = "interpreter"

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Trace:
        """Run all samples and return the record of the run."""
        if has_passes(program):
            passing = cast(Passing, program)
            return run_passes(self, passing, inputs, probe=probe, progress=progress)
        image = read_image(image_of(program))
        interpreter = Interpreter(
            image.params, memories(image.sections), image.manifest, seed=self._seed
        )
        return interpreter.run(
            {name: np.asarray(payload) for name, payload in inputs.items()},
            probe=probe,
            progress=progress,
        )
