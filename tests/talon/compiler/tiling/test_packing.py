"""Pixels of narrow maps in one row of lanes: which fit, what kernels become, what is chosen."""

from dataclasses import replace

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
from talon.compiler.tiling.tile import Packing, Tile, fields_of, flat_of, whole
from talon.errors import ImageError
from talon.testing.kernels import conv_kernel, conv_relation
from talon_sim.trace import compare

PARAMS = PRESETS["zynq_2x2_map"]

layouts = st.builds(Packing, pixels=st.integers(2, 8), window=st.integers(1, 4))
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
        (1, 16, 1, [2, 4, 8, 16]),
        (1, 24, 1, [2, 3, 4, 6, 8, 12, 16]),  # the last one leaves 8 for a second row
        (2, 7, 1, [7]),
        (2, 9, 1, [3, 8]),
        (4, 12, 3, [2, 4]),
        (4, 12, 4, [3]),
        (8, 5, 1, [2]),
        (8, 1, 1, []),
        (16, 8, 1, []),
        (3, 8, 1, []),  # events of kernels count 4 channels a pixel
    ],
)
def test_pixels_that_share_a_row_of_16_lanes(channels, width, window, pixels):
    shape = (channels, 2, width)
    pool = None if window == 1 else Pool(kind="max", size=(1, window))
    found = packings(population("p", shape, pool=pool), shape, fields_of(shape), 16)
    assert [packing.pixels for packing in found] == pixels
    assert all(packing.window == window for packing in found)


def test_pixels_of_three_channels_share_a_row_where_only_matrices_take_them():
    shape = (3, 2, 10)
    found = packings(population("p", shape), shape, flat_of(shape), 16)
    assert [packing.pixels for packing in found] == [2, 5]


@given(packing=layouts, width=st.integers(1, 20), channels=st.integers(1, 4))
def test_every_neuron_of_a_tile_has_a_lane_of_its_own(packing, width, channels):
    shape = (channels, 3, width * packing.window)
    tile = whole(shape, 32, packing)
    order = tile.order(shape)
    assert len(order) == tile.n_rows * 32
    assert sorted(order[order >= 0].tolist()) == list(range(tile.n_neurons))
    last = order.reshape(3, -1, 32)[:, -1]
    assert (last[:, : tile.last_lanes] >= 0).all()
    assert (last[:, tile.last_lanes :] < 0).all()


@given(columns=relations, packing=layouts, seed=st.integers(0, 2**32 - 1))
def test_a_packed_kernel_has_the_same_synapses(columns, packing, seed):
    n = columns.shape[0] // packing.window * packing.window
    if not n:
        return
    rng = np.random.default_rng(seed)
    taps = rng.integers(-9, 10, (2, int(columns.max()) + 2, 2, 3)).astype(np.int8)
    kernel = Kernel(taps=taps, rows=conv_relation(4, 2), columns=columns[:n])
    found = packed(kernel, packing)
    stepping_of(found.columns)  # raises where the array cannot step
    shape = kernel.target_shape
    order = whole(shape, 64, packing).order(shape).reshape(shape[1], -1, 64)
    order = order[:, :, : packing.pixels * 3].transpose(2, 0, 1).reshape(-1)
    wanted = np.where(order[:, None] >= 0, kernel.dense()[order], 0)
    assert np.array_equal(found.dense(), wanted)


@pytest.mark.parametrize("pool", [None, (2, 1), (2, 2), (1, 3), (3, 4)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8])
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


def test_packed_maps_take_partial_sums(monkeypatch):
    """No choice of the compiler does so here, since packed kernels have more words."""
    choice = {"first": Packing(pixels=4)}
    monkeypatch.setattr(mapping, "packing_choices", lambda costs, n_cores: [choice])
    net = network(4, c_in=60)
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
        ({"pixels": 16}, "must have its 16 pixels of 2 channels within the 16 lanes of a row$"),
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
