"""Programs that no compiler has made, their checksums all right: an error by name or a run."""

from __future__ import annotations

import contextlib
import copy
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import talon
from talon import ir
from talon.backend.programs import Program
from talon.compiler.network_io import network_from_bytes
from talon.errors import ImageError, TalonError
from talon.image.container import Image, check_image, read_image, write_image

VALUES = (None, True, -1, 0, 3, 65535, 2**31, -(2**70), 1.5, 1e300, "", "x", [], {}, [1], {"a": 1})
GONE = object()
HEAD = struct.Struct("<8sII")


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image of a recurrent network with two populations, which fire all the time."""
    n = 6
    full = np.ones(n, np.float32)
    rng = np.random.default_rng(0)

    def affine() -> ir.Affine:
        return ir.Affine(rng.normal(size=(n, n)).astype(np.float32), 0 * full)

    graph = ir.Graph(
        {
            "in": ir.Input([n]),
            "fc": affine(),
            "lif": ir.LIF(full, full, 0 * full, -9 * full),
            "rec": affine(),
            "if": ir.IF(full),
            "out": ir.Output([n]),
        },
        [("in", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "if"), ("if", "lif"), ("if", "out")],
        delays={("if", "lif"): 2},
    )
    return read_image(talon.compile(graph, hw="tiny_2x2").image)


def header_of(image: Image) -> tuple[dict[str, Any], bytes]:
    _, _, length = HEAD.unpack_from(image.network)
    end = HEAD.size + length
    return json.loads(image.network[HEAD.size : end]), image.network[end:]


def with_header(image: Image, header: dict[str, Any], arrays: bytes) -> Image:
    text = json.dumps(header).encode()
    return replace(image, network=HEAD.pack(b"TALONNET", 1, len(text)) + text + arrays)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside of JSON data."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def put(root: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of JSON data with another value in one place."""
    root = copy.deepcopy(root)
    inner = root
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return root


def sealed(image: Image, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return the bytes of an image that nobody has checked."""
    with monkeypatch.context() as patch:
        patch.setattr("talon.image.container.check_image", lambda _: None)
        return write_image(image)


@pytest.mark.parametrize("part", ["manifest", "network"])
@pytest.mark.parametrize("seed", range(60))
def test_any_value_in_any_place_is_run_or_refused(
    image: Image, part: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng([seed, part == "network"])

    def forge(data: dict[str, Any]) -> dict[str, Any]:
        paths = list(places(data))
        values = [*VALUES, GONE]
        return put(data, paths[rng.integers(len(paths))], values[rng.integers(len(values))])

    if part == "manifest":
        manifest = forge(image.manifest)
        if "params" not in manifest or manifest["params"] != image.manifest["params"]:
            with pytest.raises(ImageError):
                check_image(replace(image, manifest=manifest))
            return
        forged = replace(image, manifest=manifest)
    else:
        header, arrays = header_of(image)
        forged = with_header(image, forge(header), arrays)
    data = sealed(forged, monkeypatch)
    for target in ("golden", "interpreter"):
        with contextlib.suppress(TalonError):
            Program(data).run(np.ones((3, 1, 6)), target=target)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("params", "columns"), 2.0, "params columns must be of the type int, not 2.0$"),
        (("permit_init",), [1, "2"], r"permit_init must be a list, each an integer .*, not \[1, '"),
        (("n_dests",), True, "n_dests must be an integer from 0 to 16777215, not True$"),
        (
            ("inputs", 0, "scale"),
            0,
            r"inputs\[0\] scale must be a positive number up to 3.*, not 0$",
        ),
        (("inputs", 0, "shape"), [2**20] * 2, r"\[0\] shape must be a list of positive integers"),
        (("inputs", 0, "routes", 0, "last"), 6, r"routes\[0\] must be of lines of the 6, in order"),
        (("inputs", 0, "routes", 0, "delay"), 5, r"\[0\] delay must be an integer from 0 to 4, no"),
        (("groups", 0, "emit"), "smoke", r"groups\[0\] emit must be one of \('spike', 'readout', "),
        (("groups", 0, "population"), "x", "names no population 'x'$"),
        (("groups", 0, "neuron_start"), 63, r"group \d of core \d must end within the 64 neurons"),
        (("groups", 0, "first"), 6, r"must hold some of the 6 neurons of '\w+', not \d from 6 on$"),
        (("populations", 1, "name"), "lif", "populations must have distinct names, not 'lif' twic"),
        (("outputs", 0), 3, "outputs must be a list, each an object, not .*3"),
        (("host_tokens", 0, "group"), GONE, r"host_tokens\[0\] must have the key 'group'$"),
    ],
)
def test_manifest_is_refused_by_name(
    image: Image, path: tuple[Any, ...], value: Any, message: str
) -> None:
    with pytest.raises(ImageError, match=rf"^Manifest .*{message}"):
        check_image(replace(image, manifest=put(image.manifest, path, value)))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("inputs", 0, "signed"), 1, r"inputs\[0\] signed must be true or false, not 1$"),
        (("populations", 0, "frac"), 8, r"populations\[0\] frac must be an integer from 0 to 7"),
        (("populations", 0, "extra"), 8, r"populations\[0\] must have the keys \['frac',"),
        (("populations", 1, "name"), "in", "must name inputs and populations apart$"),
        (("projections", 0, "source"), "x", ": projection 'x' -> 'lif' must join an input or pop"),
        (("projections", 0, "shape"), [6, 5], "must have the shape of its ends, not .6, 5.$"),
        (("projections", 1, "delay"), 0, "'if' -> 'lif' has no delay, so its source must come be"),
        (("outputs", 0, "population"), "x", "has no population 'x'$"),
        (("metadata",), [], r"metadata must be an object, not \[\]$"),
    ],
)
def test_network_is_refused_by_name(
    image: Image, path: tuple[Any, ...], value: Any, message: str
) -> None:
    header, arrays = header_of(image)
    with pytest.raises(ImageError, match=rf"^Network section.*{message}"):
        network_from_bytes(with_header(image, put(header, path, value), arrays).network)


@pytest.mark.parametrize("field", ["threshold", "bias", "v_reset", "decay"])
def test_parameters_out_of_range_are_refused_by_name(image: Image, field: str) -> None:
    header, arrays = header_of(image)
    first = 4 * 6 * ["threshold", "bias", "v_reset", "decay"].index(field)
    damaged = arrays[:first] + struct.pack("<i", 1 << 24) + arrays[first + 4 :]
    match = rf"^Network section: {field} of population 'lif' must be from .* to 16777216$"
    with pytest.raises(ImageError, match=match):
        network_from_bytes(with_header(image, header, damaged).network)
