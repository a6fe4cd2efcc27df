"""``talon io encode``, ``bench`` and ``stream``: values to spikes, rates, and live runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from talon.errors import TalonError
from talon.sdk.commands.io import FormatName, SensorSize, warnings_told
from talon.sdk.console import Console
from talon.sdk.options import MODEL, InputFile, OutputFile, Probability, command

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from talon.io.events import Events

CODES = ("rate", "latency", "temporal", "delta")
_CHUNK_BYTES = 1 << 18
"""Read of a file at a time: enough to be fast, little enough to begin at once."""

_ADDRESS = re.compile(r"udp://(?P<host>[^:/]+):(?P<port>\d{1,5})")


@command("encode")
@click.argument("values", type=InputFile(), metavar="IN.npz")
@click.argument("target", type=OutputFile(), metavar="OUT.npz")
@click.option(
    "--code", type=click.Choice(CODES), default="rate", show_default=True, help="How values fire."
)
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="T", help="Timesteps, of all codes but delta."
)
@click.option(
    "--scale", type=float, default=1.0, show_default=True, help="Factor on values (rate)."
)
@click.option(
    "--tau",
    type=Probability(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Timesteps in which the value that fires falls by a factor of e (latency).",
)
@click.option(
    "--threshold",
    type=Probability(min=0),
    help="Least value that fires, 0.01 (latency, temporal); change that does not yet, 0.1 (delta).",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of rate.")
def encode_command(
    console: Console,
    *,
    values: str,
    target: str,
    code: str,
    steps: int | None,
    scale: float,
    tau: float,
    threshold: float | None,
    seed: int,
) -> None:
    """Turn the values of a file into spikes that `talon simulate --input` takes.

    IN.npz has `x` or `images`, samples first, or for delta `raster`, timesteps first; labels are
    kept. OUT.npz has `spikes`, bytes of 0 and 1, timesteps first.
    """
    import io

    import numpy as np

    from talon.image.files import whole_file
    from talon.sdk.encode import encode_file
    from talon.sdk.tables import fields

    found = encode_file(
        values, code, n_steps=steps, scale=scale, tau=tau, threshold=threshold, seed=seed
    )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **found.arrays)  # type: ignore[arg-type]
    with whole_file(target) as file:
        file.write(buffer.getbuffer())
    facts = {
        "input": values,
        "output": target,
        "code": code,
        "shape": list(found.spikes.shape),
        "spikes": int(found.spikes.sum()),
        "rate": float(found.spikes.mean()) if found.spikes.size else 0.0,
    }
    console.emit(facts, lambda out: fields(out, facts))


@command("bench")
@click.option("--events", type=click.IntRange(min=1), default=5_000_000, show_default=True)
@click.option("--sensor", type=SensorSize(), default="640x480", show_default=True, metavar="WxH")
@click.option(
    "--accumulation-us",
    type=click.IntRange(min=1),
    default=33_333,
    show_default=True,
    help="Microseconds of a frame; there is an event in each.",
)
@click.option("--no-encoding", is_flag=True, help="Leave out rate coding.")
def bench_command(
    console: Console,
    *,
    events: int,
    sensor: tuple[int, int],
    accumulation_us: int,
    no_encoding: bool,
) -> None:
    """Measure how fast this machine decodes, bins and encodes events, and say what was measured."""
    from talon.io.throughput import benchmark_throughput
    from talon.sdk.tables import fields

    found = benchmark_throughput(events, sensor, accumulation_us, include_encoding=not no_encoding)
    facts = {
        "events": found.total_events,
        "sensor": list(found.sensor_size),
        "accumulation_us": found.accumulation_us,
        "events_per_s": found.events_per_sec,
        "rgb_frames_per_s": found.rgb_fps,
        "event_frames_per_s": found.event_fps,
        "encoded_images_per_s": found.encoding_fps,
        "duration_s": found.duration_sec,
    }
    console.emit(
        facts | {"measured": found.measured},
        lambda out: fields(out, facts, extra={"measured": found.summary().splitlines()}),
    )


@command("stream")
@click.argument("source", metavar="FILE|udp://HOST:PORT")
@click.option(
    "--format",
    "format_",
    type=FormatName(written=False),
    metavar="FORMAT",
    help="What FILE is, if it does not say so itself.",
)
@click.option("--program", type=MODEL, required=True, help="What `talon compile` made.")
@click.option(
    "--target",
    type=click.Choice(["golden", "cosim"]),
    default="golden",
    show_default=True,
    help="Integer golden model, or the RTL under Verilator.",
)
@click.option(
    "--timestep-us",
    type=click.IntRange(min=1),
    required=True,
    metavar="US",
    help="Microseconds of a timestep.",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="T", help="End after T timesteps.")
@click.option(
    "--sensor", type=SensorSize(), metavar="WxH", help="Size, where the input of PROGRAM is no map."
)
@click.option("--paced", is_flag=True, help="Replay a file at the rate at which it was recorded.")
@click.option(
    "--delay-us",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Time by which events may come late.",
)
@click.option(
    "--wait-us",
    type=click.IntRange(min=0),
    metavar="US",
    help="End a timestep so long after its time by the clock, though nothing came.",
)
@click.option(
    "--max-lag-us",
    type=click.IntRange(min=0),
    metavar="US",
    help="Leave timesteps out while the run is further behind the clock.",
)
@click.option(
    "--timeout",
    type=Probability(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds without a packet after which a UDP stream is over.",
)
@click.option("--probe", is_flag=True, help="Record every population, not outputs alone.")
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    metavar="OUT.npz",
    help="Write spikes, potentials and the figures of every timestep.",
)
def stream_command(
    console: Console,
    *,
    source: str,
    format_: str | None,
    program: str,
    target: str,
    timestep_us: int,
    output: str | None,
    timeout: float,
    probe: bool,
    steps: int | None,
    sensor: tuple[int, int] | None,
    **timing: Any,
) -> None:
    """Run PROGRAM on the events of a file or a socket as they come, timestep by timestep.

    Says how many events entered, how many were dropped and why, how many spikes came out, and how
    long timesteps took.
    """
    from contextlib import ExitStack

    from talon.backend.programs import load
    from talon.sdk.execution import build_simulator
    from talon.sdk.live import Summary, save
    from talon.sdk.tables import fields

    loaded = load(program)
    if target == "cosim":
        build_simulator(console, loaded.params)
    with ExitStack() as stack:
        stack.enter_context(warnings_told(console))
        events, counts = _opened(stack, source, format_, timeout)
        run = loaded.stream(
            events,
            timestep_us=timestep_us,
            target=target,
            probe=probe,
            n_steps=steps,
            sensor_size=sensor,
            **timing,
        )
        summary = Summary(keeps=output is not None)
        for step in run:
            summary.add(step)
    facts: dict[str, Any] = {"source": source, "program": program, "target": target}
    facts |= run.counts | summary.facts()
    if counts is not None:
        facts["udp"] = counts()
    if output is not None:
        save(output, summary.kept)
        facts["output"] = output
    console.emit(facts, lambda out: fields(out, facts))


def _opened(
    stack: ExitStack, source: str, format_: str | None, timeout: float
) -> tuple[Iterable[Events], Any]:
    """Return the events of a source, and what gives the counts of its packets."""
    from dataclasses import asdict
    from pathlib import Path

    if source.startswith("udp:"):
        from talon.io.ethernet import UDPEventReceiver

        found = _ADDRESS.fullmatch(source)
        if found is None or int(found["port"]) > 65535:
            raise TalonError(f"{source!r} is no address like udp://127.0.0.1:5000")
        receiver = UDPEventReceiver(found["host"], int(found["port"]), timeout_s=timeout)
        stack.enter_context(receiver)
        return receiver, lambda: asdict(receiver.counts)
    if not Path(source).is_file():
        raise TalonError(f"{source!r} is neither a file nor udp://HOST:PORT")
    from talon.io.formats import EventReader

    return EventReader(source, format_, chunk_bytes=_CHUNK_BYTES), None


IO_STREAM_COMMANDS = (encode_command, bench_command, stream_command)
