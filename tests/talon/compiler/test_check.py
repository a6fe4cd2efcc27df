"""The checkers: right programs pass, and every kind of wrong one is refused by name."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from talon.arch.memories import Memory, MemoryLayouts
from talon.arch.params import PRESETS
from talon.compiler.check import check_program
from talon.compiler.compile import compile_graph
from talon.compiler.decode import decode
from talon.errors import ImageError
from talon.image.container import Section
from talon.ir import LIF, Affine, Graph, Input, Output
from talon.testing import GraphLimits, random_graph

PARAMS = replace(PRESETS["tiny_2x2"], name="check", weight_words=260)


@pytest.fixture(name="program", scope="module")
def make_program():
    """Compile a recurrent network whose first layer is split by inputs."""
    rng = np.random.default_rng(0)

    def ones(n):
        return np.ones(n, np.float32)

    def affine(n_out, n_in):
        return Affine(rng.normal(size=(n_out, n_in)).astype("f4"), np.zeros(n_out, "f4"))

    def lif(n):
        return LIF(ones(n) * 4, ones(n), ones(n) * 0, ones(n))

    nodes = {
        "in": Input((300,)),
        "fc1": affine(8, 300),
        "n1": lif(8),
        "rec": affine(8, 8),
        "fc2": affine(5, 8),
        "out": Output((5,)),
    }
    edges = [("in", "fc1"), ("fc1", "n1"), ("n1", "rec"), ("rec", "n1"), ("n1", "fc2")]
    graph = Graph(nodes, [*edges, ("fc2", "out")], delays={("n1", "rec"): 2})
    return compile_graph(graph, PARAMS, objective="cores")


def with_entry(image, core, memory, entry, *, params=PARAMS, **values):
    """Return the image with fields of one table entry changed, CRC and all."""
    layout = MemoryLayouts(params).of_memory[memory]
    section = image.section(core, memory)
    words = section.words.copy()
    at = slice(entry * layout.n_words, (entry + 1) * layout.n_words)
    words[at] = layout.to_words({**layout.from_words(words[at].tolist()), **values})
    changed = Section(memory=memory, core=core, words=words)
    return replace(image, sections=tuple(changed if s is section else s for s in image.sections))


def with_manifest(image, change):
    manifest = copy.deepcopy(image.manifest)
    change(manifest)
    return replace(image, manifest=manifest)


def group_of(program, emit):
    return next(g for g in program.manifest["groups"] if g["emit"] == emit)


def test_program_of_the_tests_has_all_kinds_of_group(program):
    assert {g["emit"] for g in program.manifest["groups"]} == {"spike", "readout", "psum"}
    check_program(program.contents, program.network)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["tiny_2x2", "zynq_us_plus"])
def test_random_programs_pass(seed, name):
    graph = random_graph(np.random.default_rng(1000 + seed))
    program = compile_graph(graph, PRESETS[name])  # checks itself
    check_program(program.contents, program.network)


def test_a_wrong_weight_is_named(program):
    image = program.contents
    core = group_of(program, "readout")["core"]
    section = image.section(core, Memory.WEIGHT)
    words = section.words.copy()
    words[-1] ^= 0x01
    changed = Section(memory=Memory.WEIGHT, core=core, words=words)
    sections = tuple(changed if s is section else s for s in image.sections)
    with pytest.raises(
        ImageError, match=r"^Synapse '.*'\[\d+\] -> '.*'\[\d+\] of delay \d must have"
    ):
        check_program(replace(image, sections=sections), program.network)


def test_a_missing_and_a_doubled_input_route_are_named(program):
    def drop(manifest):
        del manifest["inputs"][0]["routes"][0]

    def double(manifest):
        manifest["inputs"][0]["routes"] *= 2

    for change in (drop, double):
        with pytest.raises(ImageError, match=r"^Synapse 'in'\[\d+\] -> 'n1'\[\d+\] of delay 0"):
            check_program(with_manifest(program.contents, change), program.network)


def test_route_to_a_core_that_is_not_loaded_is_named(program):
    def reroute(manifest, **masks):
        manifest["inputs"][0]["routes"][0].update(masks)

    nowhere = with_manifest(program.contents, lambda m: reroute(m, xmask=0))
    with pytest.raises(ImageError, match=r"^A route of 'in' must send to cores of the mesh"):
        check_program(nowhere, program.network)
    (idle,) = set(range(PARAMS.n_cores)) - set(program.contents.cores)
    x, y = PARAMS.position(idle)
    unarmed = with_manifest(program.contents, lambda m: reroute(m, xmask=1 << x, ymask=1 << y))
    with pytest.raises(ImageError, match=rf"^A route of 'in' sends to core {idle}, which is not"):
        check_program(unarmed, program.network)


def spike_core(program):
    item = group_of(program, "spike")
    return item["core"], item["group"]


@pytest.mark.parametrize(
    ("field", "match"),
    [
        ("n_sources", r"must wait for \d+ sources"),
        ("n_dests", r"must wait for \d+ sources and \d+ destinations"),
        ("frac", r"has the wrong fractional bits"),
    ],
)
def test_wrong_group_fields_are_named(program, field, match):
    core, group = spike_core(program)
    value = decode(program.contents)[core].groups[group][field]
    image = with_entry(program.contents, core, Memory.GROUP, group, **{field: value ^ 1})
    with pytest.raises(ImageError, match=rf"^Group {group} of core {core} {match}"):
        check_program(image, program.network)


def test_wrong_size_and_place_of_a_group_are_named(program):
    core, group = spike_core(program)
    entry = decode(program.contents)[core].groups[group]
    image = with_entry(
        program.contents, core, Memory.GROUP, group, n_neurons=entry["n_neurons"] - 1
    )
    with pytest.raises(ImageError, match="neurons"):
        check_program(image, program.network)
    image = with_entry(program.contents, core, Memory.GROUP, group, row_start=PARAMS.n_rows - 1)
    with pytest.raises(ImageError, match=r"^Group \d+ of core \d+ must end within the core"):
        check_program(image, program.network)


def test_wrong_initial_tokens_are_named(program):
    core, group = spike_core(program)
    entry = group * PARAMS.n_slots + 1
    value = decode(program.contents)[core].init[entry]["dests"]
    image = with_entry(program.contents, core, Memory.INIT, entry, dests=value + 1)
    with pytest.raises(
        ImageError, match=rf"^Group {group} of core {core} must start with .* slot 1"
    ):
        check_program(image, program.network)


@pytest.mark.parametrize(
    ("field", "flip"), [("delta", 1), ("credit", 1), ("group", 1), ("host", 1)]
)
def test_any_wrong_token_is_refused(program, field, flip):
    core, group = spike_core(program)
    tables = decode(program.contents)[core]
    for i in range(tables.groups[group]["n_tokens"]):
        entry = tables.groups[group]["token_start"] + i
        value = tables.tokens[entry][field]
        if field == "group" and tables.tokens[entry]["host"]:
            continue  # the host is told the sender's group
        image = with_entry(program.contents, core, Memory.TOKEN, entry, **{field: value ^ flip})
        with pytest.raises(ImageError):
            check_program(image, program.network)


@pytest.mark.parametrize("field", ["edge", "delay", "offset", "first", "last", "host"])
def test_any_wrong_route_is_refused(program, field):
    for core, tables in decode(program.contents).items():
        for group in tables.used_groups():
            for i in range(tables.groups[group]["n_routes"]):
                entry = tables.groups[group]["route_start"] + i
                emit = tables.groups[group]["emit"]
                if emit == 2 and field in ("edge", "delay"):
                    continue  # a partial sum has neither
                value = tables.routes[entry][field]
                image = with_entry(
                    program.contents, core, Memory.ROUTE, entry, **{field: value ^ 1}
                )
                with pytest.raises(ImageError):
                    check_program(image, program.network)


@pytest.mark.parametrize("field", ["base", "rows", "row_start", "kind"])
def test_any_wrong_edge_is_refused(program, field):
    for core, tables in decode(program.contents).items():
        for number, edge in enumerate(tables.edges):
            if not edge["rows"] and edge["kind"] == 0:
                continue  # not in use
            image = with_entry(
                program.contents, core, Memory.EDGE, number, **{field: edge[field] ^ 1}
            )
            with pytest.raises(ImageError):
                check_program(image, program.network)


@pytest.mark.parametrize("field", ["threshold", "bias", "v_reset", "decay", "reset", "strict"])
def test_any_wrong_record_is_refused(program, field):
    item = group_of(program, "spike")
    neuron = item["neuron_start"] + item["count"] - 1
    value = decode(program.contents)[item["core"]].records[neuron][field]
    image = with_entry(program.contents, item["core"], Memory.RECORD, neuron, **{field: value ^ 1})
    with pytest.raises(ImageError, match=rf"^Record of neuron {neuron} of core {item['core']}"):
        check_program(image, program.network)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(n_dests=m["n_dests"] + 1),
        lambda m: m["permit_init"].__setitem__(0, 0),
        lambda m: m["host_tokens"].pop(),
        lambda m: m["host_tokens"][0].update(delta=1),
        lambda m: m["end_of_step"].pop(),
        lambda m: m["groups"].pop(),
        lambda m: next(g for g in m["groups"] if g["population"]).update(first=4),
        lambda m: m["groups"][0].update(emit="nothing"),
        lambda m: m["groups"][0].update(neuron_start=4),
    ],
)
def test_any_wrong_manifest_is_refused(program, change):
    with pytest.raises(ImageError):
        check_program(with_manifest(program.contents, change), program.network)


def test_sums_that_may_wrap_are_refused(program):
    (port,) = program.network.inputs
    loud = replace(port, payload_max=200_000)
    network = replace(program.network, inputs=(loud,))
    with pytest.raises(ImageError, match=r"^Neuron \d+ of population 'n1' may sum up to \d+, more"):
        check_program(program.contents, network)


def test_a_cycle_without_delay_is_refused(program):
    from talon.compiler.check_subject import Subject
    from talon.compiler.check_tokens import check_live

    homes = {(g["core"], g["group"]): g for g in program.manifest["groups"]}
    first, second, *_ = homes
    subject = Subject(
        image=program.contents,
        network=program.network,
        params=PARAMS,
        cores=decode(program.contents),
        homes=homes,
        feeds={(first, second, 0), (second, first, 0)},
    )
    with pytest.raises(ImageError, match=r"^Groups wait for each other in a cycle without delay"):
        check_live(subject)


@pytest.mark.parametrize(
    "change",
    [{"i_decay": 1}, {"i_bias": 77}, {"i_no_leak": 1}, {"has_current": 0}],
    ids=["decay", "bias", "factor", "current"],
)
def test_a_wrong_current_is_named(change):
    params = replace(PARAMS, synaptic_current=True, weight_words=1024)
    graph = random_graph(np.random.default_rng(5), GraphLimits(synaptic=1.0, max_neurons=9))
    program = compile_graph(graph, params)
    name = next(p.name for p in program.network.populations if p.current is not None)
    item = next(g for g in program.manifest["groups"] if g["population"] == name)
    neuron = item["neuron_start"]
    image = with_entry(
        program.contents, item["core"], Memory.RECORD, neuron, params=params, **change
    )
    with pytest.raises(
        ImageError, match=rf"^Record of neuron {neuron} of core {item['core']} must be "
    ):
        check_program(image, program.network)
