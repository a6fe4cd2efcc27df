"""What the documented calls take as ``input_data``, brought into the form of a run.

===========  ==========================================================================
``images``   ``(*shape)`` or ``(n_samples, *shape)``, held for ``n_steps``; the default
``raster``   ``(n_steps, *shape)`` or ``(n_steps, n_samples, *shape)``
``events``   ``(n_events, 2)`` or ``(n_events, 3)``: timestep, neuron and sample
===========  ==========================================================================

No layout is ever guessed from the number of dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from talon.backend.encoding import Encoding
from talon.backend.inputs import InputFile, Inputs, Layout, Source, prepare_inputs
from talon.ir import Graph
from talon.ir.types import Dims

InputData: TypeAlias = Source | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """Checked data.

    Parameters
    ----------
    inputs
        One array for every input.
    is_batched
        Whether the data had a dimension of samples, which results then have, too.
    """

    inputs: Inputs
    is_batched: bool


def prepare_feed(
    graph: Graph,
    input_data: InputData = None,
    n_steps: int | None = None,
    *,
    layout: Layout | None = None,
    encoding: Encoding = "hold",
    seed: int = 0,
) -> Feed:
    """Return the data of a run.

    Parameters
    ----------
    graph
        The network.
    input_data
        One array if there is one input, arrays by input name, or what
        :func:`talon.backend.inputs.load_inputs` read; zeros if not given.
    n_steps
        Number of timesteps, 1 for what is held if nothing is said.
    layout
        What the arrays are, see the head of this module.
    encoding, seed
        How an image becomes timesteps, see :func:`talon.backend.encoding.encode`.

    Raises
    ------
    InputError
        Names, shapes or values are wrong.
    """
    if input_data is None:
        shapes = graph.input_type
        input_data = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        layout = "images"
    if isinstance(input_data, Inputs):
        return Feed(inputs=prepare_inputs(graph, input_data, n_steps), is_batched=True)
    if isinstance(input_data, InputFile):
        kind, given = layout or input_data.layout, input_data.arrays
        if kind == "images" and n_steps is None:
            n_steps = input_data.n_steps
    else:
        kind = layout or "images"
        given = input_data if isinstance(input_data, Mapping) else {"": input_data}
    if kind == "images" and n_steps is None:
        n_steps = 1
    inputs = prepare_inputs(graph, input_data, n_steps, layout=kind, encoding=encoding, seed=seed)
    shapes = list(graph.input_type.values())
    batched = any(
        _is_batched(array, graph.input_type.get(name, shapes[0]), kind)
        for name, array in given.items()
    )
    return Feed(inputs=inputs, is_batched=batched)


def _is_batched(array: ArrayLike, shape: Dims, layout: Layout) -> bool:
    given = np.shape(array)
    if layout == "images":
        return given != shape
    if layout == "raster":
        return len(given) == len(shape) + 2
    return given[1] == 3
