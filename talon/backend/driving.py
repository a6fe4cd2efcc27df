"""A run by the driver of an array, as one record: co-simulation and boards alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from talon.backend.target import Progress
from talon.backend.trace import Trace
from talon.compiler.network import IntArray
from talon.image.driver import Driver


def run_driver(
    driver: Driver,
    inputs: Mapping[str, IntArray],
    *,
    target: str,
    probe: bool = False,
    batch: int | None = 16,
    progress: Progress | None = None,
    cycles: Callable[[], int] | None = None,
) -> Trace:
    """Run all samples on the array that a driver has loaded, and read its counters.

    Parameters
    ----------
    driver
        The driver.
    inputs
        Payloads of shape (T, B, n) by input.
    target
        The name that the record bears.
    probe, progress
        As in :meth:`talon.backend.target.Target.run`.
    batch
        Samples in one transfer, as in :meth:`talon.image.driver.Driver.run`.
    cycles
        Tells the clock cycles so far; the counter ``cycles`` is what passed for the samples.
    """
    driver.control(probe=probe, clear_counters=True)
    before = cycles() if cycles is not None else 0
    result = driver.run(inputs, probe=probe, batch=batch, progress=progress)
    passed = {} if cycles is None else {"cycles": cycles() - before}
    cores = driver.counters()
    totals: Counter[str] = Counter()
    for counts in cores.values():
        totals.update(counts)
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    return Trace(
        target=target,
        n_steps=n_steps,
        n_samples=n_samples,
        spikes=result.spikes,
        potentials=result.potentials,
        counters={**totals, **passed},
        cycles=result.cycles,
        cores=[{"core": core, **counts} for core, counts in cores.items()],
    )
