"""What enters a network: rasters, held images and address events, brought into one form.

The one form is a float32 array ``(n_steps, n_samples, *shape)`` for every input node. Where it
comes from is said by a layout, never guessed from the number of dimensions:

===========  ==========================================================================
``raster``   ``(n_steps, *shape)`` or ``(n_steps, n_samples, *shape)``
``images``   ``(*shape)`` or ``(n_samples, *shape)``, held or encoded for ``n_steps``
``events``   ``(n_events, 2)`` or ``(n_events, 3)``: timestep, neuron and sample
===========  ==========================================================================
"""

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from talon.backend.encoding import ENCODINGS, MAX_STEPS, Encoding, encode, events_to_raster
from talon.backend.errors import InputError
from talon.ir import Graph
from talon.ir.types import Dims, FloatArray

Layout: TypeAlias = Literal["raster", "images", "events"]
LAYOUTS: tuple[Layout, ...] = ("raster", "images", "events")

_FILE_KEYS: dict[str, Layout] = {
    "x": "images",
    "images": "images",
    "spikes": "raster",
    "raster": "raster",
    "events": "events",
}
_LABEL_KEYS = ("y", "labels")
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")
_ONLY = ""
"""Name of the array that is for the only input of a network."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The data of a run, checked: one array for every input node.

    Parameters
    ----------
    values
        float32 arrays ``(n_steps, n_samples, *shape)``; what is held is a view with stride 0 over
        time and must not be written to.
    labels
        The class of each sample, if known.
    """

    values: Mapping[str, FloatArray]
    labels: NDArray[np.int64] | None = None

    @property
    def n_steps(self) -> int:
        """Number of timesteps."""
        return next(iter(self.values.values())).shape[0]

    @property
    def n_samples(self) -> int:
        """Number of samples, which have nothing to do with each other."""
        return next(iter(self.values.values())).shape[1]

    def take(self, start: int, stop: int | None = None) -> "Inputs":
        """Return the samples ``start`` to ``stop``, or the first ``start`` ones."""
        chosen = slice(start) if stop is None else slice(start, stop)
        return Inputs(
            values={name: value[:, chosen] for name, value in self.values.items()},
            labels=None if self.labels is None else self.labels[chosen],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class InputFile:
    """What a file of inputs holds, before it is fitted to a network.

    Parameters
    ----------
    path
        Where it came from.
    layout
        What the arrays are.
    arrays
        Arrays by the name of the input node, or one array without a name.
    labels
        The class of each sample, if the file has them.
    n_steps
        Number of timesteps, if the file says so.
    """

    path: str
    layout: Layout
    arrays: Mapping[str, NDArray[Any]]
    labels: NDArray[np.int64] | None = None
    n_steps: int | None = None


Source: TypeAlias = Inputs | InputFile | ArrayLike | Mapping[str, ArrayLike]


def prepare_inputs(
    graph: Graph,
    source: Source,
    n_steps: int | None = None,
    *,
    layout: Layout | None = None,
    encoding: Encoding = "hold",
    seed: int = 0,
) -> Inputs:
    """Fit data to the inputs of a graph.

    Parameters
    ----------
    graph
        The network, whose input nodes name and shape the arrays.
    source
        One array if there is one input, arrays by input name, a file's content, or prepared inputs.
    n_steps
        Number of timesteps. Images need it, from here, from the file, or from
        ``graph.metadata["n_steps"]``; events take the last one's time if nothing else is said.
    layout
        What the arrays are; that of a file is known, all else is a raster if nothing is said.
    encoding
        How an image becomes timesteps: ``"hold"``, ``"rate"`` or ``"latency"``.
    seed
        Seed of the ``"rate"`` encoding.

    Returns
    -------
    Inputs
        One array for every input node.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"Encoding must be one of {ENCODINGS}, not {encoding!r}")
    if isinstance(source, Inputs):
        return _check_prepared(graph, source, n_steps)
    file = source if isinstance(source, InputFile) else _as_file(source)
    kind = layout or file.layout
    if kind not in LAYOUTS:
        raise ValueError(f"Layout must be one of {LAYOUTS}, not {kind!r}")
    arrays = _by_input(graph, file.arrays)
    if n_steps is not None:
        n_steps = _as_int(n_steps)
    n_steps = n_steps if n_steps is not None else file.n_steps
    if n_steps is None and kind == "images":
        n_steps = _steps_of_model(graph)
    values = {
        name: _fit(name, arrays[name], shape, kind, n_steps, encoding, seed)
        for name, shape in graph.input_type.items()
    }
    return _check_together(Inputs(values=values, labels=file.labels))


def load_inputs(path: str | os.PathLike[str], layout: Layout | None = None) -> InputFile:
    """Read a ``.npz`` or ``.npy`` file of inputs; nothing in it is executed.

    Parameters
    ----------
    path
        An ``.npz`` file has one of the keys ``x`` or ``images`` (samples first), ``spikes`` or
        ``raster`` (timesteps first) or ``events``, with ``:name`` behind it where a network has
        several inputs; besides, if wanted, ``y`` or ``labels``, ``n_steps``, and ``scale``, a
        factor on the values.
    layout
        What the array of a ``.npy`` file is, a raster if nothing is said.

    Returns
    -------
    InputFile
        To be given to :func:`prepare_inputs`.
    """
    name = os.fspath(path)
    if not Path(name).exists():
        raise FileNotFoundError(f"Input file not found: {name}")
    if not Path(name).is_file():
        raise InputError(f"{name} is no regular file; inputs are read from one")
    arrays = _load_arrays(name)
    if set(arrays) == {_ONLY}:
        return InputFile(path=name, layout=layout or "raster", arrays=arrays)
    found: dict[str, Layout] = {
        key: _FILE_KEYS[key.partition(":")[0]] for key in arrays if _is_data(key)
    }
    if len(set(found.values())) != 1:
        raise InputError(
            f"{name} must have arrays of one layout under the keys {sorted(_FILE_KEYS)}, "
            f"got {sorted(arrays)}"
        )
    named = {key.partition(":")[2]: arrays[key] for key in found}
    if len(named) != len(found) or (_ONLY in named and len(named) > 1):
        raise InputError(f"{name} has several arrays for one input: {sorted(found)}")
    steps = arrays.get("n_steps")
    scale = arrays.get("scale")
    file = InputFile(
        path=name,
        layout=layout or next(iter(found.values())),
        arrays=named,
        labels=_labels(name, arrays),
        n_steps=None if steps is None else _whole(name, "n_steps", steps),
    )
    if scale is None:
        return file
    factor = np.float32(_scalar(name, "scale", scale))
    for key, array in named.items():
        _check_real(f"{name}: {key or file.layout}", array)
    with np.errstate(over="ignore"):  # what overflows is refused as a value, by _fit
        scaled = {key: np.asarray(a, np.float32) * factor for key, a in named.items()}
    return replace(file, arrays=scaled)


def _is_data(key: str) -> bool:
    return key.partition(":")[0] in _FILE_KEYS


def _load_arrays(name: str) -> dict[str, NDArray[Any]]:
    try:
        with Path(name).open("rb") as file:
            if not file.read(6).startswith(_SIGNATURES):
                raise InputError(f"{name} is no .npz or .npy file of NumPy")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {_ONLY: loaded}
            with loaded:
                return {key: loaded[key] for key in loaded.files}
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, MemoryError) as exc:
        raise InputError(f"Cannot read inputs from {name}: {exc}") from exc
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as exc:
        raise InputError(f"Cannot read inputs from {name}: {exc}") from exc


def _labels(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    for key in _LABEL_KEYS:
        if key in arrays:
            labels = arrays[key]
            if labels.ndim != 1 or labels.dtype.kind not in "iu":
                raise InputError(
                    f"{name}: {key} must be a vector of integers, "
                    f"got {labels.dtype} of shape {labels.shape}"
                )
            return labels.astype(np.int64)
    return None


def _scalar(name: str, key: str, value: NDArray[Any]) -> float:
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise InputError(f"{name}: {key} must be one finite number, got {value!r}")
    return value.item()


def _whole(name: str, key: str, value: NDArray[Any]) -> int:
    number = _scalar(name, key, value)
    if number != int(number):
        raise InputError(f"{name}: {key} must be a whole number, got {number!r}")
    return int(number)


def _as_file(source: ArrayLike | Mapping[str, ArrayLike]) -> InputFile:
    named = source if isinstance(source, Mapping) else {_ONLY: source}
    arrays = {name: np.asarray(array) for name, array in named.items()}
    return InputFile(path="", layout="raster", arrays=arrays)


def _by_input(graph: Graph, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    wanted = list(graph.inputs)
    if set(arrays) == {_ONLY} and len(wanted) == 1:
        return {wanted[0]: arrays[_ONLY]}
    if set(arrays) != set(wanted):
        given = "one array without a name" if set(arrays) == {_ONLY} else f"arrays {list(arrays)}"
        raise InputError(f"The network has the inputs {wanted}, got {given}")
    return arrays


def _steps_of_model(graph: Graph) -> int:
    n_steps = graph.metadata.get("n_steps")
    if not isinstance(n_steps, int):
        raise InputError("Images need a number of timesteps; give n_steps (--steps)")
    return n_steps


def _fit(
    name: str,
    array: NDArray[Any],
    shape: Dims,
    layout: Layout,
    n_steps: int | None,
    encoding: Encoding,
    seed: int,
) -> FloatArray:
    who = f"Input {name!r}"
    _check_real(who, array)
    if n_steps is not None and not 1 <= n_steps <= MAX_STEPS:
        raise InputError(f"n_steps must be at least 1 and at most {MAX_STEPS}, got {n_steps}")
    if layout != "images" and encoding != "hold":
        raise InputError(
            f"{who} is given as {layout}, and encoding {encoding!r} is for images; leave it out"
        )
    if layout == "events":
        return events_to_raster(array, shape, n_steps=n_steps, name=name)
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not _is_finite(array):
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            f"{who} holds NaN, infinite values or values beyond float32, the first at index {at}"
        )
    if layout == "images":
        images = _as_images(who, array, shape)
        return encode(images, cast("int", n_steps), encoding, seed=seed, name=name)
    return _as_raster(who, array, shape, n_steps)


def _is_finite(array: FloatArray) -> bool:
    """Tell whether all values are finite, by their sum of squares where that does not overflow."""
    if not array.flags.c_contiguous:
        return bool(np.isfinite(array).all())
    flat = array.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(flat).all())


def _check_real(who: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "fiub":
        raise InputError(f"{who} must hold real numbers, got dtype {array.dtype}")


def _as_images(who: str, array: NDArray[Any], shape: Dims) -> FloatArray:
    images = array.astype(np.float32, copy=False)
    if images.shape == shape:
        return images[np.newaxis]
    if images.ndim > 1 and int(np.prod(images.shape[1:])) == int(np.prod(shape)):
        return images.reshape(images.shape[0], *shape)
    raise InputError(
        f"{who} takes images of shape {shape} or (n_samples, {_listed(shape)}), got {array.shape}"
    )


def _as_raster(who: str, array: NDArray[Any], shape: Dims, n_steps: int | None) -> FloatArray:
    raster = array.astype(np.float32, copy=False)
    if raster.ndim == len(shape) + 1:
        raster = raster[:, np.newaxis]
    if raster.ndim != len(shape) + 2 or raster.shape[2:] != shape:
        raise InputError(
            f"{who} takes a raster of shape (n_steps, {_listed(shape)}) or "
            f"(n_steps, n_samples, {_listed(shape)}), got {array.shape}; "
            "an image that is to be held needs the layout 'images' and n_steps"
        )
    if n_steps is not None and raster.shape[0] != n_steps:
        raise InputError(f"{who} has {raster.shape[0]} timesteps, but n_steps is {n_steps}")
    return raster


def _listed(shape: Dims) -> str:
    return ", ".join(map(str, shape))


def _as_int(n_steps: object) -> int:
    if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer):
        raise TypeError(f"n_steps must be an integer, got {n_steps!r}")
    return int(n_steps)


def _check_prepared(graph: Graph, inputs: Inputs, n_steps: int | None) -> Inputs:
    if set(inputs.values) != set(graph.inputs):
        raise InputError(
            f"The network has the inputs {list(graph.inputs)}, got {list(inputs.values)}"
        )
    for name, shape in graph.input_type.items():
        _as_raster(f"Input {name!r}", inputs.values[name], shape, n_steps)
    return _check_together(inputs)


def _check_together(inputs: Inputs) -> Inputs:
    sizes = {name: value.shape[:2] for name, value in inputs.values.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"Inputs must agree in timesteps and samples, got {sizes}")
    if inputs.n_steps < 1 or inputs.n_samples < 1:
        raise InputError(
            f"There must be a timestep and a sample at least, "
            f"got {inputs.n_steps} timesteps of {inputs.n_samples} samples"
        )
    if inputs.labels is not None and len(inputs.labels) != inputs.n_samples:
        raise InputError(f"{len(inputs.labels)} labels for {inputs.n_samples} samples")
    return inputs
