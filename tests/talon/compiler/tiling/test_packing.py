"""Pixels of narrow maps in one row of lanes: which fit, what kernels become, what is chosen."""

from dataclasses import replace
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.params import PRESETS
from talon.backend.target import get_target
from talon.compiler import mapping
from talon.compiler.check import check_program
from talon.compiler.compile import program_of
from talon.compiler.kernel import Kernel
from talon.compiler.mapping import map_network
from talon.compiler.network import InputPort, IntNetwork, OutputPort, Pool, Population, Projection
from talon.compiler.tile import bounds
from talon.compiler.tiling.packing import packed, packings
from talon.compiler.tiling.stepping import stepping_of
from talon.compiler.tiling.tile import Packing, Tile, joined_of, whole
from talon.errors import ImageError
from talon.testing.kernels import conv_kernel, conv_relation
from talon_sim.trace import compare

PARAMS = PRESETS["zynq_2x2_map"]

layouts = st.builds(Packing, pixels=st.integers(2, 8), window=st.integers(1, 4))
full_rows = st.builds(
    lambda channels, lanes, window: (
        channels,
        lanes,
        Packing(
            pixels=lanes // gcd(channels, lanes),
            rows=channels // gcd(channels, lanes),
            window=window,
        ),
    ),
    st.integers(1, 24),
    st.sampled_from([4, 8, 16]),
    st.integers(1, 3),
)
shared_rows = st.tuples(st.integers(1, 4), st.just(32), layouts)
relations = st.one_of(
    st.builds(
        conv_relation,
        st.integers(9, 24),
        st.integers(1, 5),
        stride=st.integers(1, 3),
        padding=st.integers(0, 2),
        dilation=st.integers(1, 2),
    ),
    st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).integers(-2, 3, (12, 9)).astype(np.int16).clip(-1)
    ),
)


def population(name, shape, kind="spike", pool=None):
    zeros = np.zeros(int(np.prod(shape)), np.int32)
    return Population(
        name=name,
        shape=shape,
        kind=kind,
        frac=0 if kind == "graded" else 2,
        threshold=zeros + (255 if kind == "graded" else 40),
        bias=zeros,
        v_reset=zeros,
        decay=zeros + (9000 if kind == "graded" else 60000),
        reset="none" if kind == "graded" else "subtract",
        reset_next=False,
        strict=False,
        v_scale=zeros + 1.0,
        pool=pool,
    )


def network(channels, *, c_in=2, height=6, width=12, pool=None, seed=0, taps=3):
    """Return input -> graded map, perhaps pooled -> spiking map -> 10 spiking neurons."""
    rng = np.random.default_rng(seed)

    def kernel(c, o, shape):
        weights = rng.integers(-9, 10, (taps, taps, c, o)).astype(np.int8)
        return conv_kernel(weights, shape, padding=(taps // 2, taps // 2))

    rows, columns = pool or (1, 1)
    windows = None if pool is None else Pool(kind="max", size=pool)
    first = population("first", (channels, height, width), "graded", pool=windows)
    second = population("second", (channels, height // rows, width // columns))
    head = rng.integers(-9, 10, (10, second.n)).astype(np.int8)
    ways = [
        ("x", "first", kernel(c_in, channels, (height, width)), "map"),
        ("first", "second", kernel(channels, channels, second.shape[1:]), "map"),
        ("second", "third", head, "dense"),
    ]
    return IntNetwork(
        inputs=(InputPort(name="x", shape=(c_in, height, width), scale=1.0, payload_max=1),),
        populations=(first, second, population("third", (10,))),
        projections=tuple(
            Projection(source=source, target=target, delay=0, weight=weight, form=form)
            for source, target, weight, form in ways
        ),
        outputs=(OutputPort(name="y", population="third", shape=(10,), kind="spike"),),
    )


def packings_of(placed):
    """Return how the populations of a mapping are packed, those that are."""
    groups = [g for g in placed.wiring.groups if g.piece.tile.packing is not None]
    return {g.piece.population: g.piece.tile.packing for g in groups}


def image_of(placed):
    return program_of(placed, graph_hash=bytes(32), report={}).image


def runs_like_golden(net, placed):
    made = program_of(placed, graph_hash=bytes(32), report={})
    raster = np.random.default_rng(1).random((4, 2, net.inputs[0].n)) < 0.3
    payloads = {"x": raster.astype(np.int16)}
    golden = get_target("golden").run(made, payloads, probe=True)
    run = get_target("interpreter", seed=1).run(made, payloads, probe=True)
    comparison = compare(golden, run)
    assert comparison.equal, comparison
    assert all(spikes.any() for spikes in golden.spikes.values())
    if not any(g.piece.partial for g in placed.wiring.groups):
        assert run.counters["updates"] == golden.counters["updates"]


@pytest.mark.parametrize(
    ("channels", "width", "window", "pixels"),
    [
        # Pixels in one row, or (pixels, rows).
        (1, 16, 1, [2, 4, 8, 16]),
        (1, 24, 1, [2, 3, 4, 6, 8, 12, 16]),  # the last one leaves 8 for a second row
        (2, 7, 1, [7]),
        (2, 9, 1, [3, 8]),
        (4, 12, 3, [2, 4]),
        (4, 12, 4, [3]),
        (8, 5, 1, [2]),
        (8, 1, 1, []),
        (16, 8, 1, []),
        (3, 8, 1, [2, 4, (16, 3)]),
        (3, 10, 1, [2, 5, (16, 3)]),
        (7, 9, 1, [(16, 7)]),  # two pixels leave idle lanes, behind which no line goes on
        (6, 12, 3, [2, (8, 3)]),
        (12, 8, 1, [(4, 3)]),
        (20, 6, 1, [(4, 5)]),
        (24, 2, 1, [(2, 3)]),
        (12, 1, 1, []),
        (20, 1, 1, []),
        (32, 8, 1, []),
    ],
)
def test_pixels_that_share_a_row_of_16_lanes(channels, width, window, pixels):
    shape = (channels, 2, width)
    pool = None if window == 1 else Pool(kind="max", size=(1, window))
    found = packings(population("p", shape, pool=pool), shape, 16)
    wanted = [each if isinstance(each, tuple) else (each, 1) for each in pixels]
    assert [(packing.pixels, packing.rows) for packing in found] == wanted
    assert all(packing.window == window for packing in found)


@given(choice=st.one_of(shared_rows, full_rows), width=st.integers(1, 20))
def test_every_neuron_of_a_tile_has_a_lane_of_its_own(choice, width):
    channels, lanes, packing = choice
    shape = (channels, 3, width * packing.window)
    tile = whole(shape, lanes, packing)
    order = tile.order(shape)
    assert len(order) == tile.n_rows * lanes
    assert sorted(order[order >= 0].tolist()) == list(range(tile.n_neurons))
    lines = order.reshape(3, -1, packing.window, lanes)
    assert (lines[:, -1, :, : tile.last_lanes] >= 0).all()
    assert (lines[:, -1, :, tile.last_lanes :] < 0).all()
    assert (lines[:, :-1, :, : packing.lanes_of(channels)] >= 0).all()


@given(
    columns=relations,
    choice=st.one_of(st.tuples(st.just(3), st.just(64), layouts), full_rows),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_packed_kernel_has_the_same_synapses(columns, choice, seed):
    channels, lanes, packing = choice
    n = columns.shape[0] // packing.window * packing.window
    if not n:
        return
    rng = np.random.default_rng(seed)
    taps = rng.integers(-9, 10, (2, int(columns.max()) + 2, 2, channels)).astype(np.int8)
    kernel = Kernel(taps=taps, rows=conv_relation(4, 2), columns=columns[:n])
    found = packed(kernel, packing)
    stepping_of(found.columns)  # raises where the array cannot step
    shape = kernel.target_shape
    order = whole(shape, lanes, packing).order(shape).reshape(shape[1], -1, lanes)
    order = order[:, :, : packing.lanes_of(channels)].transpose(2, 0, 1).reshape(-1)
    wanted = np.where(order[:, None] >= 0, kernel.dense()[order], 0)
    assert np.array_equal(found.dense(), wanted)


@pytest.mark.parametrize("pool", [None, (2, 1), (2, 2), (1, 3), (3, 4)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8, 12, 20])
@pytest.mark.parametrize("objective", ["latency", "traffic"])
def test_packed_maps_keep_their_values(channels, pool, objective):
    net = network(channels, pool=pool)
    runs_like_golden(net, map_network(net, PARAMS, objective=objective))


@pytest.mark.parametrize(("width", "pixels"), [(23, 16), (22, 11), (10, 10)])
def test_a_line_that_is_no_multiple_of_a_row_ends_in_a_row_of_fewer(width, pixels):
    net = network(1, width=width)
    placed = map_network(net, PARAMS, objective="cores")
    assert packings_of(placed)["first"].pixels == pixels
    runs_like_golden(net, placed)
    small = replace(PARAMS, name="small", n_neurons=64)
    runs_like_golden(net, map_network(net, small, objective="latency"))


def test_packing_saves_cores_and_rows():
    net, params = network(2, height=16, width=16), PRESETS["zynq_us_plus_map"]
    one, many = (map_network(net, params, objective="cores", pack=pack) for pack in (False, True))
    assert packings_of(many) == {"first": Packing(pixels=8), "second": Packing(pixels=8)}
    assert (len(one.bins), len(many.bins)) == (10, 2)
    rows = [sum(contents.n_rows for contents in placed.bins) for placed in (one, many)]
    assert rows == [16 * 16 * 2 + 1, 16 * 16 * 2 // 8 + 1]
    assert bounds(net, params).rows[0] == rows[1]
    assert bounds(net, params).cores == 2


def test_lanes_that_pixels_of_20_channels_leave_are_used():
    net, params = network(20, height=16, width=16), PRESETS["zynq_us_plus_map"]
    one, many = (map_network(net, params, objective="cores", pack=pack) for pack in (False, True))
    assert packings_of(many) == {name: Packing(pixels=4, rows=5) for name in ("first", "second")}
    rows = [sum(contents.n_rows for contents in placed.bins) for placed in (one, many)]
    assert rows == [16 * 16 * 2 * 2 + 1, 16 * 16 * 2 * 5 // 4 + 1]
    # Lines of 20 rows: parts of some of them fill the 12 rows that others leave on a core.
    assert (len(one.bins), len(many.bins)) == (19, 12)
    assert bounds(net, params).rows[0] == rows[1]
    runs_like_golden(net, many)


def test_maps_are_not_packed_where_axis_entries_have_no_room():
    """Each of 36 values of a line has an entry then, not 3 channels and 12 columns."""
    net = network(3)
    for room, is_packed in ((43, True), (42, False)):
        placed = map_network(net, replace(PARAMS, name="small", n_axis=room), objective="cores")
        assert ("first" in packings_of(placed)) == is_packed
        runs_like_golden(net, placed)


@pytest.mark.parametrize(
    ("shape", "is_joined", "shifts"),
    [((3, 4, 10), True, (5, 0)), ((4, 4, 10), False, (6, 2)), ((12, 2, 16), True, (8, 0))],
)
def test_events_of_packed_maps_name_their_lines_without_a_gap(shape, is_joined, shifts):
    code = joined_of(shape)
    assert (code.is_joined, code.shifts) == (is_joined, shifts)
    line = [code(c, 1, x) for x in range(shape[2]) for c in range(shape[0])]
    assert line == list(range(code.y_stride, code.y_stride + len(line)))
    assert code.y_stride >= len(line)


def test_maps_that_fill_their_lanes_have_the_images_that_they_had():
    net = network(16)
    for objective in ("latency", "cores"):
        assert image_of(map_network(net, PARAMS, objective=objective)) == image_of(
            map_network(net, PARAMS, objective=objective, pack=False)
        )


def test_what_costs_more_cores_is_not_packed():
    """Weights bind: 200 channels to 2, of which a row of 8 pixels has 10 words a kernel row."""
    net = network(2, c_in=200, taps=3)
    room = replace(PARAMS, name="small", weight_words=2000)
    placed = map_network(net, room, objective="cores")
    assert packings_of(placed).get("first", Packing(pixels=1)).pixels == 1
    plain = map_network(net, room, objective="cores", pack=False)
    assert len(placed.bins) <= len(plain.bins)
    runs_like_golden(net, placed)


@pytest.mark.parametrize(("channels", "rows"), [(4, 1), (12, 3)])
def test_packed_maps_take_partial_sums(monkeypatch, channels, rows):
    """No choice of the compiler does so here, since packed kernels have more words."""
    choice = {"first": Packing(pixels=4, rows=rows)}
    monkeypatch.setattr(mapping, "packing_choices", lambda costs, n_cores: [choice])
    net = network(channels, c_in=60)
    params = replace(PRESETS["zynq_us_plus_map"], name="small", weight_words=300)
    placed = map_network(net, params, objective="cores")
    assert any(g.piece.partial for g in placed.wiring.groups)
    assert packings_of(placed) == choice
    runs_like_golden(net, placed)


def test_a_packed_tile_is_cut_between_rows_of_lanes():
    tile = Tile(
        channels=(0, 2),
        rows=(0, 4),
        columns=(0, 24),
        lanes=16,
        packing=Packing(pixels=4, window=2),
    )
    left, right = tile.cut("columns", 8)
    assert (left.places, right.places) == ((0, 2), (2, 6))
    assert left.n_rows + right.n_rows == tile.n_rows == 4 * 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"pixels": 9},
            "must have its 9 pixels of 2 channels within the 16 lanes of a row, or in full rows$",
        ),
        ({"window": 1}, "must have the window of 2 columns of its population's pool, not 1$"),
        ({"pixels": 0}, "tile pixels must be an integer from 2 to 32, not 0$"),
        ({"pixels": None}, "tile must have both of pixels and window, or none of them$"),
        ({"pixels": 2}, "must give each neuron an accumulator of its own, but"),
    ],
)
def test_a_manifest_that_packs_otherwise_is_refused(changed, message):
    placed = map_network(network(2, pool=(2, 2)), PARAMS, objective="cores")
    made = program_of(placed, graph_hash=bytes(32), report={})
    image = made.contents
    tile = next(g["tile"] for g in image.manifest["groups"] if g["population"] == "first")
    assert (tile["pixels"], tile["window"]) == (6, 2)
    for key, value in changed.items():
        if value is None:
            del tile[key]
        else:
            tile[key] = value
    with pytest.raises(ImageError, match=message):
        check_program(image, made.network)
