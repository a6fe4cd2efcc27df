"""The rows that a reset goes over hold everything that a program uses, and no more."""

from dataclasses import replace

import numpy as np
import pytest

from talon.arch.memories import Memory, MemoryLayouts
from talon.arch.params import preset
from talon.compiler.compile import compile_graph
from talon.image.container import Image, Section, read_image
from talon.image.rows import rows_in_use
from talon.testing import random_graph

PARAMS = preset("tiny_2x2")


@pytest.mark.parametrize("seed", range(10))
def test_rows_hold_every_neuron_and_group_of_a_program(seed: int) -> None:
    image = read_image(compile_graph(random_graph(np.random.default_rng(seed)), PARAMS).image)
    rows = rows_in_use(image)
    assert sorted(rows) == list(image.cores)
    reach = dict.fromkeys(image.cores, 0)
    for group in image.manifest["groups"]:
        core = group["core"]
        reach[core] = max(reach[core], group["group"] + 1)
    for core, n_rows in rows.items():
        assert reach[core] <= n_rows <= PARAMS.n_rows


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({0: (0, 1)}, 1),
        ({0: (0, PARAMS.lanes)}, 1),
        ({0: (0, PARAMS.lanes + 1)}, 2),
        ({0: (2, 1), 1: (0, 5)}, 3),
        ({3: (0, 1)}, 4),  # group 3 has its token counts set with row 3
        ({}, 0),
    ],
)
def test_rows_are_those_of_the_last_neuron_or_group(
    groups: dict[int, tuple[int, int]], expected: int
) -> None:
    params = replace(PARAMS, name="four", n_groups=4)
    layout = MemoryLayouts(params).group
    words: list[int] = []
    for number in range(params.n_groups):
        row_start, n_neurons = groups.get(number, (0, 0))
        packed = layout.pack({"row_start": row_start, "n_neurons": n_neurons})
        words += [(packed >> 32 * k) & 0xFFFF_FFFF for k in range(layout.n_words)]
    section = Section(memory=Memory.GROUP, core=1, words=np.array(words, np.uint32))
    manifest = read_image(
        compile_graph(random_graph(np.random.default_rng(0)), params).image
    ).manifest
    image = Image(sections=(section,), manifest=manifest, graph_hash=bytes(32))
    assert rows_in_use(image) == {1: expected}
