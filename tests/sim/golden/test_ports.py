"""What enters a run is checked and counted, whatever integers hold it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from talon.compiler.network import InputPort, IntNetwork
from talon_sim.golden.ports import Ports


def ports(*, payload_max, signed=False, n=3):
    port = InputPort(name="in", shape=(n,), scale=1.0, payload_max=payload_max, signed=signed)
    return Ports(IntNetwork(inputs=(port,), populations=(), projections=(), outputs=()))


KINDS = (np.int8, np.uint8, np.int16, np.uint16, np.int64)


def lowest(payload_max, signed):
    return -payload_max if signed else 0


def holds(kind, *values):
    limits = np.iinfo(kind)
    return all(limits.min <= value <= limits.max for value in values)


COUNTED = [
    (kind, largest, signed)
    for kind, largest, signed in product(KINDS, (1, 100, 255), (False, True))
    if holds(kind, lowest(largest, signed), largest)
]


@pytest.mark.parametrize(("kind", "payload_max", "signed"), COUNTED)
def test_payloads_that_are_not_zero_are_counted(kind, payload_max, signed):
    low = lowest(payload_max, signed)
    payloads = np.zeros((4, 5, 3), kind)
    payloads[1, 2] = payload_max, 1, low
    payloads[3, 4, 0] = low
    found = ports(payload_max=payload_max, signed=signed).check({"in": payloads})
    assert found == (4, 5, {"in": 4 if signed else 2})


REFUSED = [
    (kind, largest, signed, wrong)
    for kind, largest, signed in product(KINDS, (1, 100, 254), (False, True))
    for wrong in (lowest(largest, signed) - 1, largest + 1)
    if holds(kind, wrong)
]


@pytest.mark.parametrize(("kind", "payload_max", "signed", "wrong"), REFUSED)
def test_a_payload_beside_the_limits_is_refused(kind, payload_max, signed, wrong):
    payloads = np.zeros((4, 5, 3), kind)
    payloads[3, 4, 2] = wrong
    limits = f"between {lowest(payload_max, signed)} and {payload_max}"
    seen = f"{min(wrong, 0)} to {max(wrong, 0)}"
    with pytest.raises(ValueError, match=rf"^Input 'in' payloads must be {limits}, not {seen}$"):
        ports(payload_max=payload_max, signed=signed).check({"in": payloads})


@pytest.mark.parametrize("kind", [np.bool_, np.uint8])
def test_flags_are_payloads_of_one(kind):
    flags = np.zeros((4, 5, 3), kind)
    flags[1:3, 4] = 1
    assert ports(payload_max=1).check({"in": flags}) == (4, 5, {"in": 6})


def test_a_few_timesteps_at_a_time_are_all(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.edges._MANY", 10)  # three timesteps of seven
    payloads = np.ones((7, 1, 3), np.uint8)
    assert ports(payload_max=1).check({"in": payloads}) == (7, 1, {"in": 21})
    payloads[6, 0, 1] = 2
    with pytest.raises(ValueError, match=r"between 0 and 1, not 0 to 2$|, not 1 to 2$"):
        ports(payload_max=1).check({"in": payloads})
