"""What must hold of an integer network before it has a meaning, and its sums are exact."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon.compiler.network import (
    RESETS,
    InputPort,
    IntArray,
    IntNetwork,
    Population,
    Projection,
)
from talon.compiler.sparse import SparseMatrix
from talon_sim.golden.reach import NetworkError, prove_sums

__all__ = ["NetworkError", "check_network"]

_RANGES = (
    ("threshold", numerics.V_MIN, numerics.V_MAX),
    ("bias", numerics.V_MIN, numerics.V_MAX),
    ("v_reset", numerics.V_MIN, numerics.V_MAX),
    ("decay", 0, numerics.DECAY_ONE),
)
_OF_CURRENT = (
    ("i_decay", 0, numerics.DECAY_ONE),
    ("i_bias", numerics.V_MIN, numerics.V_MAX),
)
_FORMS = ("dense", "sparse", "identity", "map", "rows")
_LARGEST_PAYLOADS = tuple((1 << bits) - 1 for bits in range(1, 9))

Ends = dict[str, InputPort | Population]


def check_network(network: IntNetwork) -> None:
    """Check names, shapes, order and ranges; prove that no accumulator wraps.

    Raises
    ------
    NetworkError
        The network breaks the contract; the message names the projection or population.
    """
    ports = [*network.inputs, *network.populations]
    doubled = [name for name, count in Counter(port.name for port in ports).items() if count > 1]
    if doubled:
        raise NetworkError(f"Inputs and populations must have distinct names, not {doubled[0]!r}")
    for population in network.populations:
        _check_population(population)
    ends: Ends = {port.name: port for port in ports}
    order = {population.name: i for i, population in enumerate(network.populations)}
    for projection in network.projections:
        _check_projection(projection, ends, order)
    _check_held(network)
    prove_sums(network)
    for output in network.outputs:
        if output.population not in order:
            raise NetworkError(f"Output {output.name!r} has no population {output.population!r}")


def _name_of(projection: Projection) -> str:
    return f"Projection {projection.source!r} -> {projection.target!r}"


def _check_projection(projection: Projection, ends: Ends, order: dict[str, int]) -> None:
    edge = _name_of(projection)
    if projection.source not in ends or projection.target not in order:
        raise NetworkError(f"{edge} must join an input or population to a population")
    source, target = ends[projection.source], ends[projection.target]
    if isinstance(source, Population) and source.kind == "readout":
        raise NetworkError(f"Population {source.name!r} is read out, so it feeds nothing")
    _check_weight(edge, projection, source, target)
    if projection.delay < 0:
        raise NetworkError(f"{edge} must have a delay of at least 0, not {projection.delay}")
    position = order.get(projection.source, -1)
    if projection.delay == 0 and position >= order[projection.target]:
        raise NetworkError(f"{edge} has no delay, so its source must come before its target")
    if projection.hold and projection.delay:
        raise NetworkError(f"{edge} holds, so it must have no delay, not {projection.delay}")
    if projection.hold and isinstance(source, Population) and not source.once:
        raise NetworkError(f"{edge} holds, so its source must be an input or 'once'")


def _check_weight(
    edge: str,
    projection: Projection,
    source: InputPort | Population,
    target: InputPort | Population,
) -> None:
    weight = projection.weight
    if projection.form not in _FORMS:
        raise NetworkError(f"{edge} form must be one of {_FORMS}, not {projection.form!r}")
    if isinstance(weight, Kernel) != (projection.form == "map"):
        raise NetworkError(
            f"{edge} must have the form 'map' if its weight is a Kernel, and only then, "
            f"not {projection.form!r} of a {type(weight).__name__}"
        )
    sent = source.sent_shape if isinstance(source, Population) else source.shape
    if isinstance(weight, Kernel):
        _check_kernel(edge, weight)
        for end, has, found in (
            ("source", sent, weight.source_shape),
            ("target", target.shape, weight.target_shape),
        ):
            if math.prod(has) != math.prod(found) or (len(has) == 3 and has != found):
                raise NetworkError(f"{edge} must have a kernel for a {end} of {has}, not {found}")
        return
    shape = (target.n, math.prod(sent))
    if isinstance(weight, SparseMatrix):
        complaint = weight.complaint() if weight.shape == shape else f"not a list of {weight.shape}"
        if complaint:
            raise NetworkError(f"{edge} sparse weights of shape {shape}: {complaint}")
        return
    if weight.dtype != np.int8 or weight.shape != shape:
        raise NetworkError(
            f"{edge} must have int8 weights of shape {shape}, not {weight.dtype} of {weight.shape}"
        )


def _check_kernel(edge: str, kernel: Kernel) -> None:
    if kernel.taps.dtype != np.int8 or kernel.taps.ndim != 4 or not kernel.taps.size:
        raise NetworkError(
            f"{edge} must have int8 taps of shape (rows, columns, C, O), "
            f"not {kernel.taps.dtype} of {kernel.taps.shape}"
        )
    for axis, name in enumerate(("rows", "columns")):
        table: np.ndarray = getattr(kernel, name)
        if table.dtype != np.int16 or table.ndim != 2 or not table.size:
            raise NetworkError(
                f"{edge} {name} must be an int16 table (targets, sources), "
                f"not {table.dtype} of {table.shape}"
            )
        n_taps = kernel.taps.shape[axis]
        if table.min() < -1 or table.max() >= n_taps:
            raise NetworkError(
                f"{edge} {name} must hold taps from 0 to {n_taps - 1}, or -1, "
                f"not {table.min()} to {table.max()}"
            )


def _check_held(network: IntNetwork) -> None:
    holding = {p.target for p in network.projections if p.hold}
    for projection in network.projections:
        if projection.target in holding and not projection.hold:
            raise NetworkError(
                f"{_name_of(projection)} must hold, as another projection into "
                f"{projection.target!r} does"
            )


def _check_population(population: Population) -> None:
    where = f"Population {population.name!r}"
    if population.kind not in ("spike", "readout", "graded", "count"):
        raise NetworkError(
            f"{where} kind must be 'spike', 'readout', 'graded' or 'count', not {population.kind!r}"
        )
    if population.reset not in RESETS:
        known = f"{', '.join(map(repr, RESETS[:-1]))} or {RESETS[-1]!r}"
        raise NetworkError(f"{where} reset must be {known}, not {population.reset!r}")
    if not 0 <= population.frac <= numerics.FRAC_MAX:
        raise NetworkError(
            f"{where} frac must be between 0 and {numerics.FRAC_MAX}, not {population.frac}"
        )
    if (population.i_decay is None) != (population.i_bias is None):
        raise NetworkError(f"{where} must have both i_decay and i_bias, or neither")
    for name, low, high in _RANGES if population.current is None else (*_RANGES, *_OF_CURRENT):
        values = getattr(population, name)
        if values.shape != (population.n,) or values.min() < low or values.max() > high:
            raise NetworkError(
                f"{where} {name} must be {population.n} integers between {low} and {high}"
            )
    if population.kind == "graded":
        _check_graded(where, population)
    elif population.table is not None:
        raise NetworkError(f"{where} has a table, so it must be graded, not {population.kind!r}")
    if (population.kind == "count") != (population.gain is not None):
        raise NetworkError(f"{where} must have gains if it counts, and only then")
    if population.kind == "count":
        _check_counting(where, population)
    if population.pool is not None:
        _check_pool(where, population)


def _check_graded(where: str, population: Population) -> None:
    """Require one largest payload, and nothing of what is for a state."""
    largest = sorted(set(population.threshold.tolist()))
    if len(largest) != 1 or largest[0] not in _LARGEST_PAYLOADS:
        raise NetworkError(
            f"{where} is graded, so threshold must be one largest payload, one less than a power "
            f"of two from 1 to {numerics.PAYLOAD_MAX}, not {largest[:3]}"
        )
    stray = [
        name
        for name, is_set in (
            ("bias", bool(population.bias.any())),
            ("frac", population.frac != 0),
            ("reset", population.reset != "none"),
            ("reset_next", population.reset_next),
            ("strict", population.strict),
            ("i_decay", population.i_decay is not None),
        )
        if is_set
    ]
    if stray:
        raise NetworkError(f"{where} is graded and has no state, so it must have no {stray[0]}")
    if population.table is not None:
        _check_table(where, population, population.table)


def _check_table(where: str, population: Population, table: IntArray) -> None:
    """Require a payload for each index, and no pool that would add up what may be negative."""
    if table.shape != (numerics.TABLE_ENTRIES,) or table.dtype.kind != "i":
        raise NetworkError(
            f"{where} table must be {numerics.TABLE_ENTRIES} signed integers, not {table.dtype} of "
            f"shape {table.shape}"
        )
    if table.min() < numerics.PAYLOAD_MIN or table.max() > numerics.PAYLOAD_MAX:
        raise NetworkError(
            f"{where} table must hold payloads from {numerics.PAYLOAD_MIN} to "
            f"{numerics.PAYLOAD_MAX}, not {table.min()} to {table.max()}"
        )
    if population.threshold[0] != numerics.PAYLOAD_MAX:
        raise NetworkError(
            f"{where} has a table, so threshold, the largest index, must be "
            f"{numerics.PAYLOAD_MAX}, not {population.threshold[0]}"
        )
    if population.pool is not None and population.pool.kind != "max":
        raise NetworkError(
            f"{where} has a table, so its pool must be 'max', not {population.pool.kind!r}"
        )


def _check_counting(where: str, population: Population) -> None:
    """Require a reset at once, gains, and whole thresholds for the largest count."""
    if population.reset not in ("none", "zero", "subtract") or population.reset_next:
        raise NetworkError(
            f"{where} counts, so it must reset at once, 'none', 'zero' or 'subtract', not by "
            f"{population.reset!r} with reset_next={population.reset_next}"
        )
    if population.current is not None or population.frac:
        raise NetworkError(f"{where} counts, so it must have no current and a frac of 0")
    gain, most = population.gain, population.threshold
    assert gain is not None
    if gain.shape != (population.n,) or gain.min() < 0 or gain.max() > numerics.GAIN_MAX:
        raise NetworkError(
            f"{where} gain must be {population.n} integers between 0 and {numerics.GAIN_MAX}"
        )
    one, largest = numerics.COUNT_ONE, numerics.PAYLOAD_MAX * numerics.COUNT_ONE
    if len(set(most.tolist())) != 1 or most[0] % one or not one <= most[0] <= largest:
        raise NetworkError(
            f"{where} counts, so threshold must be one multiple of {one} up to {largest}, "
            f"not {sorted(set(most.tolist()))[:3]}"
        )


def _check_pool(where: str, population: Population) -> None:
    pool = population.pool
    assert pool is not None
    if population.kind == "readout":
        raise NetworkError(f"{where} is read out, so it must have no pool")
    if pool.kind not in ("max", "sum"):
        raise NetworkError(f"{where} pool kind must be 'max' or 'sum', not {pool.kind!r}")
    if len(population.shape) != 3:
        raise NetworkError(
            f"{where} has a pool, so it must be a map (C, H, W), not {population.shape}"
        )
    sizes = zip(pool.size, population.shape[1:], strict=False)
    if len(pool.size) != 2 or any(size < 1 or n % size for size, n in sizes):
        raise NetworkError(
            f"{where} pool size must divide the map {population.shape[1:]}, not {pool.size}"
        )
