"""``talon partition``, ``export-html`` and ``visualize``: where a model goes; its picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command

if TYPE_CHECKING:
    from talon.graph import HardwareSpec

ALGORITHMS = ("compiler", "greedy", "edgemap", "spectral")
SPECS = ("zynq_us_plus", "zcu102", "zynq_7020", "t1c_asic_target")


@command("partition")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), metavar="OUT.t1c", help="Partitioned model.")
@click.option("--html", type=OutputFile(), metavar="OUT.html", help="Picture of the cores.")
@click.option(
    "--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], show_default=True
)
@click.option("--spec", type=click.Choice(SPECS), default=SPECS[0], show_default=True)
@click.option("--max-neurons", type=click.IntRange(min=1), metavar="N", help="Neurons a core.")
@click.option("--num-cores", type=click.IntRange(min=1), metavar="N")
@click.option("--sram-bytes", type=click.IntRange(min=1), metavar="N", help="Weights a core.")
def partition_command(
    console: Console,
    *,
    model: str,
    output: str | None,
    html: str | None,
    algorithm: str,
    spec: str,
    max_neurons: int | None,
    num_cores: int | None,
    sram_bytes: int | None,
) -> None:
    """Put MODEL onto cores, and say what each of them holds.

    By default the mapping is that of `talon compile`; what the array does not run yet is planned.
    A model that does not fit is an error that names what binds.
    """
    from talon.graph import allocate, partition, place, route
    from talon.ir import write
    from talon.sdk.execution import read_model
    from talon.sdk.tables import fields
    from talon.viz import mesh_of_partition, visualize_partitioned

    hw = _spec(spec, max_neurons, num_cores, sram_bytes)
    made = route(partition(read_model(model), hw, algorithm), hw)
    resources, placement = allocate(made, hw), place(made, hw)
    metadata = made.partition_metadata or {}
    if output is not None:
        write(output, made)
    if html is not None:
        mesh = mesh_of_partition(made, hw, resources, placement)
        visualize_partitioned(made, html, title=Path(model).name, mesh=mesh)
    cores = [
        {
            "core": core,
            "place": list(placement.logical_to_physical.get(core, ())),
            "neurons": budget.neuron_count,
            "weight_bytes": budget.weight_bytes,
            "utilization": budget.utilization,
        }
        for core, budget in resources.budgets.items()
    ]
    facts = {
        "model": model,
        "algorithm": algorithm,
        "planned": bool(metadata.get("planned")),
        "cores_used": metadata["num_cores_used"],
        "cores_available": hw.num_cores,
        "fits_hardware": resources.fits_hardware,
        "peak_core_utilization": resources.peak_core_utilization,
        "cross_core_edges": len(metadata["cross_core_edges"]),
        "total_hop_distance": placement.total_hop_distance,
        "max_hops": metadata["routing"]["max_hops"],
        "output": output,
    }
    console.emit(
        {**facts, "cores": cores}, lambda out: fields(out, facts, table=cores, title="Cores")
    )


def _spec(
    name: str, max_neurons: int | None, num_cores: int | None, sram_bytes: int | None
) -> HardwareSpec:
    from talon.graph import HardwareSpec

    hw: HardwareSpec = getattr(HardwareSpec, name)()
    if max_neurons is not None:
        hw = replace(hw, max_neurons_per_core=max_neurons)
    if sram_bytes is not None:
        hw = replace(hw, sram_bytes_per_core=sram_bytes, max_synapses_per_core=sram_bytes)
    return hw if num_cores is None else hw.with_cores(num_cores)


@command("export-html")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), metavar="OUT.html")
@click.option("-t", "--title", metavar="TEXT")
def export_html_command(
    console: Console, *, model: str, output: str | None, title: str | None
) -> None:
    """Draw MODEL on a page that needs no network."""
    path = _export(model, output, title)
    result = {"model": model, "output": str(path), "bytes": path.stat().st_size}
    console.emit(result, lambda out: out.print(str(path), markup=False))


@command("visualize")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), metavar="OUT.html")
@click.option("-t", "--title", metavar="TEXT")
@click.option("--no-browser", is_flag=True, help="Only write the page.")
def visualize_command(
    console: Console, *, model: str, output: str | None, title: str | None, no_browser: bool
) -> None:
    """Draw MODEL, and open the page in the browser."""
    import webbrowser

    path = _export(model, output, title)
    opened = not no_browser and webbrowser.open(path.resolve().as_uri())
    result = {"model": model, "output": str(path), "opened": bool(opened)}
    console.emit(result, lambda out: out.print(str(path), markup=False))


def _export(model: str, output: str | None, title: str | None) -> Path:
    from talon.sdk.execution import read_model
    from talon.viz import export_html

    graph = read_model(model)
    return export_html(graph, output or f"{Path(model).stem}.html", title or Path(model).name)
