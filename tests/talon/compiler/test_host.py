"""Which part of a graph the host computes, which the array, and what can be neither."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.programs import plan
from talon.compiler.compile import compile_graph
from talon.compiler.host.split import split_graph
from talon.compiler.unmapped import find_unmapped
from talon.errors import BackendError, ImageError, MappingError, QuantizationError
from talon.image.bundle import Bundle, read_bundle, write_bundle
from talon.ir import (
    LI,
    LIF,
    Affine,
    ChannelSplit,
    Conv2d,
    CubaLIF,
    Flatten,
    Graph,
    Input,
    LayerNorm,
    MaxPool2d,
    Node,
    Output,
    ReLU,
    Sigmoid,
    Softmax,
)

TINY = preset("tiny_2x2")


def full(n, value):
    return np.full(n, value, np.float32)


def affine(n_out, n_in, seed=0):
    weight = np.random.default_rng(seed).normal(0, 1 / np.sqrt(n_in), (n_out, n_in))
    return Affine(weight.astype(np.float32), full(n_out, 0))


def lif(n, **options):
    return LIF(full(n, 4), full(n, 4), full(n, 0), full(n, 1), **options)


def norm(n):
    return LayerNorm((n,), full(n, 1), full(n, 0))


def chain(**nodes):
    return Graph(nodes, list(pairwise(nodes)))


def places(graph):
    split = split_graph(graph, maps=True, tables=False)
    return {name: split.sides.of(name) for name in graph.nodes}


def test_a_graph_without_such_nodes_is_for_the_array_as_it_is():
    graph = chain(input=Input((4,)), fc=affine(3, 4), lif=lif(3), out=Output((3,)))
    split = split_graph(graph, maps=False)
    assert split.chip is graph and not split.has_host


def test_beginning_and_end_are_for_the_host():
    graph = chain(
        input=Input((4,)),
        norm=norm(4),
        fc=affine(3, 4),
        lif=lif(3),
        fc2=affine(3, 3),
        soft=Softmax(3),
        out=Output((3,)),
    )
    split = split_graph(graph, maps=False)
    assert list(split.prefix.nodes) == ["input", "norm", "norm (host)"]
    assert list(split.chip.nodes) == ["norm", "fc", "lif", "fc2", "fc2 (host)"]
    assert list(split.suffix.nodes) == ["fc2", "soft", "out"]
    assert split.feeds == {"norm": "norm (host)"}
    assert split.takes == {"fc2": ("chip", "fc2 (host)")}
    for part in (split.prefix, split.chip, split.suffix):
        part.validate()
    where = [node.where for node in plan(graph, hw="tiny_2x2").nodes]
    assert where == ["host", "host", "chip", "chip", "chip", "host", "host"]


def test_what_can_be_on_both_sides_leaves_the_array_its_work():
    graph = chain(
        input=Input((4,)),
        norm=norm(4),
        fc=affine(4, 4),
        curve=Sigmoid(4),
        fc2=affine(2, 4),
        soft=Softmax(2),
        out=Output((2,)),
    )
    found = places(graph)
    assert [name for name, side in found.items() if side == "before"] == ["input", "norm"]
    assert [name for name, side in found.items() if side == "chip"] == ["fc"]


def test_an_analog_first_layer_is_before_the_array():
    graph = chain(
        input=Input((1, 6, 6)),
        conv=Conv2d(np.ones((2, 1, 3, 3), np.float32), full(2, 0), padding=1),
        relu=ReLU(2),
        pool=MaxPool2d(3, stride=2),
        flat=Flatten(),
        fc=affine(3, 8),
        lif=lif(3),
        out=Output((3,)),
    )
    found = places(graph)
    assert [n for n, side in found.items() if side == "before"] == ["input", "conv", "relu", "pool"]


def test_integrators_read_out_what_the_host_goes_on_with():
    leaky = LI(full(3, 5), full(3, 5), full(3, 0))
    graph = chain(input=Input((4,)), fc=affine(3, 4), li=leaky, soft=Softmax(3), out=Output((3,)))
    assert [u.node for u in find_unmapped(graph)] == ["li", "soft"]
    assert places(graph)["li"] == "chip"


def test_neurons_that_no_array_has_may_be_the_end():
    graph = chain(
        input=Input((4,)),
        fc=affine(3, 4),
        lif=lif(3),
        fc2=affine(2, 3),
        many=CubaLIF(*(full(2, value) for value in (2, 3, 1, 0, 1)), max_spikes=3),
        out=Output((2,)),
    )
    assert [n for n, side in places(graph).items() if side == "behind"] == ["many", "out"]


def between():
    """Return a network with a node that the array has not between layers of neurons."""
    return chain(
        input=Input((4,)),
        fc=affine(3, 4),
        lif=lif(3),
        norm=norm(3),
        fc2=affine(2, 3),
        last=lif(2),
        out=Output((2,)),
    )


def test_neurons_may_be_given_to_the_host():
    split = split_graph(between(), host=["last"])
    assert split.sides.behind == {"norm", "fc2", "last", "out"} and split.prefix is None
    split = split_graph(between(), host=["lif"])
    assert split.sides.before == {"input", "fc", "lif", "norm"} and split.suffix is None
    assert plan(between(), hw="tiny_2x2", host=["last"]).fits
    for name in ("nobody", "out"):
        with pytest.raises(MappingError, match=rf"^Node '{name}' cannot be given to the host"):
            split_graph(between(), host=[name])
    with pytest.raises(MappingError, match="leave it out of what the host is given"):
        split_graph(
            chain(input=Input((4,)), fc=affine(3, 4), lif=lif(3), out=Output((3,))),
            host=["fc", "lif"],
        )


def test_neurons_that_another_array_has_are_not_for_the_host():
    graph = chain(input=Input((4,)), fc=affine(3, 4), lif=lif(3, max_spikes=3), out=Output((3,)))
    assert "behind" not in places(graph).values()
    with pytest.raises(MappingError, match=r"use an array with multi_spike=True \(presets 'zynq_"):
        split_graph(graph, counts=False)


def test_an_input_may_feed_host_and_array_at_once():
    nodes = {
        "input": Input((4,)),
        "fc": affine(4, 4),
        "lif": lif(4),
        "soft": Softmax(4),
        "out": Output((4,)),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "soft"), ("input", "soft")]
    graph = Graph(nodes, [*edges, ("soft", "out")], delays={("input", "soft"): 1})
    split = split_graph(graph, maps=True)
    assert split.prefix is None
    assert split.takes == {"lif": ("chip", "lif (host)"), "input": ("input", "input")}
    assert split.suffix.delays == {("input", "soft"): 1}
    split.suffix.validate()
    split.chip.validate()


def test_outputs_of_a_split_keep_their_number_across_the_cut():
    nodes = {
        "input": Input((4,)),
        "norm": norm(4),
        "halves": ChannelSplit([2, 2]),
        "first": affine(3, 2),
        "lif": lif(3),
        "second": affine(3, 2, seed=1),
        "soft": Softmax(3),
        "out": Output((3,)),
        "late": Output((3,)),
    }
    edges = [("input", "norm"), ("norm", "halves"), ("halves", "second"), ("halves", "first")]
    edges += [("first", "lif"), ("lif", "out"), ("second", "soft"), ("soft", "late")]
    graph = Graph(nodes, edges)
    split = split_graph(graph, maps=True)
    for part in (split.prefix, split.chip, split.suffix):
        if part is not None:
            part.validate()


def test_between_neurons_there_is_no_place_and_the_path_is_named():
    graph = between()
    message = (
        r"^Node 'norm' \(LayerNorm\) cannot be mapped: .*The host computes such nodes before the "
        r"array or behind it, but this one stands between neurons of the array: "
        r"'lif' -> 'norm' -> 'fc2' -> 'last'; give the host those .*$"
    )
    with pytest.raises(MappingError, match=message):
        compile_graph(graph, TINY)
    found = plan(graph, hw="tiny_2x2")
    assert not found.fits and [u.node for u in found.unmapped] == ["norm"]


def test_a_loop_through_such_a_node_is_between_neurons():
    nodes = {
        "input": Input((3,)),
        "lif": lif(3),
        "curve": Sigmoid(3),
        "out": Output((3,)),
    }
    edges = [("input", "lif"), ("lif", "curve"), ("curve", "lif"), ("lif", "out")]
    graph = Graph(nodes, edges, delays={("curve", "lif"): 1})
    with pytest.raises(MappingError, match=r"'lif' -> 'curve' -> 'lif'; "):
        split_graph(graph, maps=True, tables=False)
    assert not split_graph(graph, maps=True).has_host


def test_nothing_for_the_array_is_refused():
    graph = chain(input=Input((3,)), soft=Softmax(3), out=Output((3,)))
    with pytest.raises(MappingError, match=r"^Node 'soft' \(Softmax\) cannot be mapped"):
        split_graph(graph, maps=True)


def test_maps_are_not_for_the_host_where_another_array_has_them():
    graph = chain(
        input=Input((1, 4, 4)),
        conv=Conv2d(np.ones((1, 1, 3, 3), np.float32), full(1, 0)),
        flat=Flatten(),
        lif=lif(4),
        out=Output((4,)),
    )
    with pytest.raises(MappingError, match="use an array with n_axis > 0"):
        split_graph(graph, maps=False)


def test_the_range_of_what_the_host_sends_must_be_known():
    graph = chain(input=Input((4,)), norm=norm(4), fc=affine(3, 4), lif=lif(3), out=Output((3,)))
    with pytest.raises(QuantizationError, match=r"input_range=\{'norm': \(low, high\)\}$"):
        compile_graph(graph, TINY)
    program = compile_graph(graph, TINY, input_range={"norm": (-2.0, 2.0)})
    assert program.host.feeds == {"norm": "norm (host)"}
    assert program.input_shapes == {"input": (4,)}


@dataclass(eq=False, repr=False)
class Odd(Node):
    def output_shape(self, shape):
        return shape


def test_a_node_that_the_host_cannot_compute_is_refused_at_once():
    import talon

    graph = chain(input=Input((4,)), odd=Odd(), fc=affine(3, 4), lif=lif(3), out=Output((3,)))
    with pytest.raises(BackendError, match="no rule for Odd"):
        talon.compile(graph, hw="tiny_2x2", input_range={"odd": (0.0, 1.0)})


@pytest.fixture
def program():
    graph = chain(
        input=Input((4,)), norm=norm(4), fc=affine(3, 4), lif=lif(3), soft=Softmax(3),
        out=Output((3,)),
    )  # fmt: skip
    return compile_graph(graph, TINY, input_range={"norm": (-2.0, 2.0)})


def test_equal_graphs_give_equal_files(program):
    bundle = read_bundle(program.image)
    assert write_bundle(bundle) == program.image
    assert len(program.passes) == 1 and program.contents.params == TINY
    assert program.flows == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prefix": b""}, "feeds must lead from an output of the prefix"),
        ({"suffix": b""}, "takes must be of the inputs of the suffix"),
        ({"suffix": b"\x89HDF\r\n\x1a\n"}, "section SUFFIX holds no graph"),
        ({"host": {"feeds": {}, "takes": {}}}, "takes must be of the inputs of the suffix"),
        ({"host": {}}, "must have objects feeds and takes"),
        (
            {"host": {"feeds": {}, "takes": {"lif": ["chip", "nowhere"]}}},
            "takes 'lif' from chip 'nowhere', which is not there",
        ),
        (
            {"host": {"feeds": {}, "takes": {"lif": ["moon", "out"]}}},
            "takes 'lif' from one of",
        ),
    ],
)
def test_parts_that_do_not_join_are_refused(program, changed, message):
    facts = vars(read_bundle(program.image)) | changed
    damaged = type(program)(write_bundle(Bundle(**facts)))
    with pytest.raises(ImageError, match=message):
        damaged.check()


def test_any_flipped_bit_is_refused(program):
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(program.image), 200).tolist():
        data = bytearray(program.image)
        data[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ImageError):
            type(program)(bytes(data)).check()
