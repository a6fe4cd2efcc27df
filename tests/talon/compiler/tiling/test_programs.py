"""Networks of maps on cores: what binds, partial sums, and programs that are wrong."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest

from talon import ir
from talon.arch.memories import Memory, MemoryLayouts
from talon.arch.params import PRESETS
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.check import check_program
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.kernel import Kernel
from talon.compiler.mapping import map_network
from talon.compiler.network import InputPort, IntNetwork, OutputPort, Pool, Population, Projection
from talon.compiler.tile import bounds
from talon.errors import ImageError, MappingError
from talon.image.container import Section
from talon.testing import random_map_network, random_map_payloads
from talon.testing.kernels import conv_kernel
from talon_sim.trace import compare

PARAMS = PRESETS["zynq_2x2_map"]


def population(name, shape, kind="spike", **others):
    zeros = np.zeros(int(np.prod(shape)), np.int32)
    facts = {
        "threshold": zeros + (255 if kind == "graded" else 40),
        "decay": zeros + (9000 if kind == "graded" else 60000),
        "reset": "none" if kind == "graded" else "subtract",
        **others,
    }
    return Population(
        name=name,
        shape=shape,
        kind=kind,
        frac=0 if kind == "graded" else 2,
        bias=zeros,
        v_reset=zeros,
        reset_next=False,
        strict=False,
        v_scale=zeros + 1.0,
        **facts,
    )


def network(rng, *, channels=(2, 24, 8), size=6, taps=3, pool=None):
    """Return input -> graded map, perhaps pooled -> spiking map -> 10 spiking neurons."""
    c_in, c_mid, c_out = channels

    def kernel(c, o, n):
        weights = rng.integers(-9, 10, (taps, taps, c, o)).astype(np.int8)
        return conv_kernel(weights, (n, n), padding=(taps // 2, taps // 2))

    windows = None if pool is None else Pool(kind="max", size=(pool, pool))
    small = size if pool is None else size // pool
    first = population("first", (c_mid, size, size), "graded", pool=windows)
    second = population("second", (c_out, small, small))
    head = rng.integers(-9, 10, (10, second.n)).astype(np.int8)
    return IntNetwork(
        inputs=(InputPort(name="x", shape=(c_in, size, size), scale=1.0, payload_max=1),),
        populations=(first, second, population("third", (10,))),
        projections=(
            Projection(
                source="x",
                target="first",
                delay=0,
                weight=kernel(c_in, c_mid, size),
                form="map",
            ),
            Projection(
                source="first",
                target="second",
                delay=0,
                weight=kernel(c_mid, c_out, small),
                form="map",
            ),
            Projection(source="second", target="third", delay=0, weight=head),
        ),
        outputs=(OutputPort(name="y", population="third", shape=(10,), kind="spike"),),
    )


def program(net, params=PARAMS, objective="latency"):
    placed = map_network(net, params, objective=objective)
    return program_of(placed, graph_hash=bytes(32), report={}), placed


def runs_like_golden(net, made, rng, n_steps=4):
    raster = (rng.random((n_steps, 2, net.inputs[0].n)) < 0.3).astype(np.int16)
    golden = get_target("golden").run(made, {"x": raster}, probe=True)
    run = get_target("interpreter", seed=1).run(made, {"x": raster}, probe=True)
    comparison = compare(golden, run)
    assert comparison.equal, comparison
    assert any(spikes.any() for spikes in golden.spikes.values())


@pytest.mark.parametrize(("shape", "flat"), [((2, 3, 3), (6, 3)), ((1, 4, 4), (4, 4))])
def test_a_map_whose_dimensions_are_joined_arrives_as_it_is(shape, flat):
    nodes = {"input": ir.Input(shape), "flat": ir.Flatten(0, 1), "output": ir.Output(flat)}
    graph = ir.Graph(nodes, list(itertools.pairwise(nodes)))
    program = compile_graph(graph, hw="tiny_2x2_map")
    frames = np.random.default_rng(0).random((3, 2, *shape)) < 0.5
    payloads = quantize_inputs(program.network, {"input": frames})
    for target in ("golden", "interpreter"):
        seen = get_target(target).run(program, payloads).potentials["output"]
        assert np.array_equal(seen.reshape(3, 2, -1) > 0, frames.reshape(3, 2, -1))


@pytest.mark.parametrize("pool", [None, 2, 3])
@pytest.mark.parametrize("objective", ["latency", "cores"])
def test_a_map_is_cut_between_windows_and_keeps_its_values(pool, objective):
    rng = np.random.default_rng(1)
    net = network(rng, pool=pool)
    made, placed = program(net, objective=objective)
    tiles = [g.piece.tile for g in placed.wiring.groups if g.piece.population == "first"]
    assert all(edge % (pool or 1) == 0 for tile in tiles for edge in (*tile.rows, *tile.columns))
    runs_like_golden(net, made, rng)


def test_inputs_of_a_wide_layer_are_summed_in_parts():
    rng = np.random.default_rng(2)
    net = network(rng, channels=(2, 40, 8), size=6)
    params = replace(PRESETS["zynq_us_plus_map"], name="small", weight_words=200)
    made, placed = program(net, params)
    assert any(g.piece.partial for g in placed.wiring.groups)
    runs_like_golden(net, made, rng)


def test_cores_keep_fewer_slots_where_rows_are_many():
    rng = np.random.default_rng(3)
    _, placed = program(network(rng, channels=(1, 16, 4), size=8), objective="cores")
    kept = {g.piece.population: g.slots for g in placed.wiring.groups}
    assert kept["first"] < PARAMS.n_slots
    rows = {}
    for group in placed.wiring.groups:
        rows[group.bin] = rows.get(group.bin, 0) + group.piece.n_rows
        assert rows[group.bin] <= PARAMS.acc_rows // group.slots


def test_bounds_name_what_binds():
    need = bounds(network(np.random.default_rng(4), channels=(1, 16, 64), size=16), PARAMS)
    assert need.binding == "membrane potentials (rows)"
    # All pixels of 64 channels, and the row of the ten neurons.
    assert need.cores == -(-(64 * 16 * 16 + 16) // PARAMS.n_neurons)


def test_what_does_not_fit_says_why():
    net = network(np.random.default_rng(5), channels=(1, 16, 64), size=16)
    rule = r"Population .* does not fit on 'zynq_2x2_map'.*membrane potentials.*ReLU before pools"
    with pytest.raises(MappingError, match=rule):
        map_network(net, PARAMS)


def test_pixels_that_differ_are_refused():
    net = network(np.random.default_rng(6))
    second = net.populations[1]
    second.threshold[3] += 1
    with pytest.raises(MappingError, match="'second' must have one threshold for all pixels"):
        map_network(net, PARAMS)


def test_an_array_without_maps_is_refused_by_name():
    net = network(np.random.default_rng(7))
    with pytest.raises(
        MappingError, match=r"'first' needs feature maps.*n_axis > 0.*zynq_us_plus_"
    ):
        map_network(net, PRESETS["zynq_us_plus"])


def test_an_input_holds_for_all_or_for_none():
    net = network(np.random.default_rng(8))
    held = replace(net.projections[0], hold=True)
    other = replace(net.projections[0], target="second", weight=_widened(net))
    mixed = replace(net, projections=(held, *net.projections[1:], other))
    with pytest.raises(MappingError, match="'x' must hold in all its projections or in none"):
        map_network(mixed, PARAMS)


def _widened(net):
    kernel = net.projections[0].weight
    assert isinstance(kernel, Kernel)
    return replace(kernel, taps=kernel.taps[..., : net.populations[1].shape[0]])


def damaged(image, memory, change):
    """Return the image with one entry of a memory changed, on the first core where that can be."""
    layout = MemoryLayouts(image.params).of_memory[memory]
    sections = list(copy.deepcopy(image.sections))
    for i, section in enumerate(sections):
        if section.memory != memory:
            continue
        words = section.words.reshape(-1, layout.n_words).copy()
        for entry in range(len(words)):
            facts = layout.from_words(words[entry].tolist())
            if change(facts):
                words[entry] = layout.to_words(facts)
                sections[i] = Section(
                    memory=section.memory, core=section.core, words=words.reshape(-1)
                )
                return replace(image, sections=tuple(sections))
    raise AssertionError("nothing to change")


def set_to(**values):
    def change(facts):
        # One that is in use; of groups, one with a pool.
        if not facts.get("n_y", facts.get("y_shift", facts.get("count", 1))) or (
            facts.get("pool_x") == 1
        ):
            return False
        for key, value in values.items():
            facts[key] = value(facts[key])
        return True

    return change


@pytest.mark.parametrize(
    ("memory", "change", "rule"),
    [
        (Memory.AXIS, set_to(count=lambda n: n + 1), "Synapse|Edge|Accumulator|accumulators"),
        (Memory.AXIS, set_to(row=lambda n: n + 1), "Synapse|Accumulator|accumulators"),
        (Memory.AXIS, set_to(weight=lambda n: n + 1), "Synapse|weight words"),
        (Memory.EDGE, set_to(y_weight=lambda n: n + 1), "Synapse|weight words"),
        (Memory.EDGE, set_to(x_row=lambda n: n + 1), "Synapse|Accumulator|accumulators"),
        (Memory.EDGE, set_to(slots=lambda n: (n + 1) % 4), "slots"),
        (Memory.EDGE, set_to(c_axis=lambda _: 1023), "axis entries|Synapse"),
        (Memory.GROUP, set_to(pool_x_step=lambda n: n + 1), "tile|rows"),
        (Memory.GROUP, set_to(pool_sum=lambda n: 1 - n), "pool_sum"),
        (Memory.GROUP, set_to(once=lambda n: 1 - n), "once"),
        (Memory.GROUP, set_to(hold=lambda n: 1 - n), "hold"),
        (Memory.GROUP, set_to(slots=lambda n: (n + 1) % 4), "slots|rows|CREDIT|start"),
        (Memory.GROUP, set_to(n_x=lambda n: n + 1), "rows|tile"),
        (Memory.GROUP, set_to(x_index=lambda n: n + 1), "Synapse|reach|Edge"),
        (Memory.GROUP, set_to(last_lanes=lambda n: n - 1 if n > 1 else n + 1), "tile|last row"),
        (Memory.RECORD, set_to(v_reset=lambda n: n + 1), "Record"),
        (Memory.RECORD, set_to(threshold=lambda n: n - 1), "Record"),
        (Memory.ROUTE, set_to(offset=lambda n: n ^ 1), "Synapse|Edge|axis|END_OF_STEP"),
    ],
)
def test_a_wrong_program_is_refused(memory, change, rule):
    net = network(np.random.default_rng(9), channels=(2, 32, 8), pool=2)
    made, placed = program(net)
    check_program(made.contents, placed.network)
    with pytest.raises(ImageError, match=rule):
        check_program(damaged(made.contents, memory, change), placed.network)


def tabled():
    """Return the network whose first map has a table, and its program."""
    net = network(np.random.default_rng(9), pool=2)
    table = np.arange(-128, 128, dtype=np.int16)
    first = replace(net.populations[0], table=table, v_reset=np.full(24 * 36, 300, np.int32))
    net = replace(net, populations=(first, *net.populations[1:]))
    return net, *program(net, PRESETS["zynq_2x2_table"])


def test_tables_are_one_a_group_and_run_like_golden():
    net, made, placed = tabled()
    groups = [g for g in placed.wiring.groups if g.piece.population == "first"]
    assert len(groups) > 1
    runs_like_golden(net, made, np.random.default_rng(2))


def test_a_table_stands_at_the_number_of_its_group():
    rng = np.random.default_rng(3)
    net = network(rng)
    last = population("second", (8, 6, 6), "graded", table=np.arange(-128, 128, dtype=np.int16))
    net = replace(net, populations=(net.populations[0], last, net.populations[2]))
    made, placed = program(net, PRESETS["zynq_2x2_table"], "cores")
    assert {g.number for g in placed.wiring.groups if g.piece.population == "second"} == {1}
    runs_like_golden(net, made, rng)


@pytest.mark.parametrize(
    ("memory", "change", "rule"),
    [
        (Memory.TABLE, {"payload": lambda n: n + 1}, "must send -?[0-9]+ for index [0-9]+ of its"),
        (Memory.GROUP, {"table": lambda n: 1 - n}, "must have table=1, not 0"),
        (Memory.RECORD, {"threshold": lambda n: n // 2}, "Record"),
    ],
)
def test_a_wrong_table_is_refused(memory, change, rule):
    _, made, placed = tabled()
    check_program(made.contents, placed.network)
    with pytest.raises(ImageError, match=rule):
        check_program(damaged(made.contents, memory, set_to(**change)), placed.network)


def test_an_array_without_tables_is_refused_by_name():
    net, _, _ = tabled()
    with pytest.raises(MappingError, match=r"'first' has a table .*\(presets 'zynq_us_plus_ta"):
        program(net)


@pytest.mark.parametrize("seed", range(12))
def test_equal_networks_give_equal_bytes(seed):
    net = random_map_network(np.random.default_rng(seed))
    try:
        made, _ = program(net)
    except MappingError:
        pytest.skip("does not fit")
    again, _ = program(random_map_network(np.random.default_rng(seed)))
    assert made.image == again.image
    payloads = random_map_payloads(np.random.default_rng(0), net, n_steps=2, n_samples=1)
    assert get_target("golden").run(made, payloads, probe=True).n_steps == 2
