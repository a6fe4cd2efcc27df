import numpy as np
import pytest

from talon import ir
from talon.backend.errors import InputError
from talon.backend.inputs import InputFile, Inputs, load_inputs, prepare_inputs
from talon.errors import TalonError


def network(*shapes, **changes):
    """Return a network whose inputs have the given shapes; only these matter here."""
    names = ["input", "right"][: len(shapes)]
    return ir.Graph({n: ir.Input(s) for n, s in zip(names, shapes, strict=True)}, [], **changes)


FLAT = network((4,))
MAP = network((2, 3))


@pytest.mark.parametrize(
    ("graph", "shape", "expected"),
    [
        (FLAT, (5, 4), (5, 1, 4)),
        (FLAT, (5, 7, 4), (5, 7, 4)),
        (MAP, (5, 2, 3), (5, 1, 2, 3)),
        (MAP, (5, 7, 2, 3), (5, 7, 2, 3)),
    ],
)
def test_raster_gets_an_axis_of_samples(graph, shape, expected):
    raster = np.random.default_rng(0).random(shape) < 0.5
    inputs = prepare_inputs(graph, raster)
    value = inputs.values["input"]
    assert (value.shape, value.dtype) == (expected, np.float32)
    assert (inputs.n_steps, inputs.n_samples) == expected[:2]
    np.testing.assert_array_equal(value.ravel(), raster.ravel())


@pytest.mark.parametrize(
    ("graph", "shape", "n_samples"),
    [(FLAT, (4,), 1), (FLAT, (7, 4), 7), (FLAT, (7, 2, 2), 7), (MAP, (2, 3), 1), (MAP, (7, 6), 7)],
)
def test_images_are_held(graph, shape, n_samples):
    images = np.random.default_rng(0).random(shape)
    value = prepare_inputs(graph, images, 3, layout="images").values["input"]
    assert value.shape == (3, n_samples, *graph.inputs["input"].shape)
    for step in value:
        np.testing.assert_array_equal(step.ravel(), images.astype(np.float32).ravel())


def test_steps_of_images_come_from_call_then_file_then_model():
    graph = network((4,), metadata={"n_steps": 9})
    file = InputFile(path="f", layout="images", arrays={"": np.ones((1, 4))}, n_steps=7)
    assert prepare_inputs(graph, file, 5).n_steps == 5
    assert prepare_inputs(graph, file).n_steps == 7
    assert prepare_inputs(graph, np.ones(4), layout="images").n_steps == 9
    with pytest.raises(InputError, match=r"^Images need a number of timesteps; give n_steps \(--s"):
        prepare_inputs(FLAT, np.ones(4), layout="images")


def test_several_inputs_are_told_by_name():
    graph = network((4,), (2,))
    inputs = prepare_inputs(graph, {"right": np.ones((3, 2)), "input": np.zeros((3, 4))})
    assert list(inputs.values) == ["input", "right"]
    assert inputs.values["right"].shape == (3, 1, 2)
    with pytest.raises(InputError, match=r"has the inputs \['input', 'right'\], got one array wit"):
        prepare_inputs(graph, np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"has the inputs .*, got arrays \['input', 'x'\]"):
        prepare_inputs(graph, {"input": np.zeros((3, 4)), "x": np.zeros((3, 2))})
    with pytest.raises(InputError, match=r"must agree in timesteps and samples, got \{'input'"):
        prepare_inputs(graph, {"input": np.zeros((3, 4)), "right": np.zeros((2, 2))})


@pytest.mark.parametrize(
    ("array", "n_steps", "message"),
    [
        (
            np.zeros((5, 3)),
            None,
            r"Input 'input' takes a raster of shape \(n_steps, 4\) .*\(5, 3",
        ),
        (np.zeros(4), None, r"got \(4,\); an image that is to be held needs the layout 'images'"),
        (np.zeros((1, 2, 3, 4)), None, r"takes a raster .*got \(1, 2, 3, 4\)"),
        (
            np.where(np.arange(20).reshape(5, 4) == 14, np.nan, 0),
            None,
            r"^Input 'input' holds NaN, .* beyond float32, the first at index \(3, 2\)$",
        ),
        (np.full((5, 4), np.inf), None, "Input 'input' holds NaN, infinite values or values bey"),
        (np.full((5, 4), 1e300), None, "infinite values or values beyond float32"),
        (np.zeros((5, 4), complex), None, "must hold real numbers, got dtype complex128"),
        (np.array([["a"] * 4]), None, "must hold real numbers, got dtype <U1"),
        (np.zeros((5, 4)), 6, "Input 'input' has 5 timesteps, but n_steps is 6"),
        (np.zeros((0, 4)), None, "There must be a timestep and a sample at least, got 0 timesteps"),
        (np.zeros((5, 0, 4)), None, "got 5 timesteps of 0 samples"),
        (np.zeros((5, 4)), 0, "n_steps must be at least 1 and at most 1048576, got 0"),
    ],
)
def test_rasters_that_do_not_fit_are_refused(array, n_steps, message):
    with pytest.raises(InputError, match=message):
        prepare_inputs(FLAT, array, n_steps)


@pytest.mark.parametrize("n_steps", [2.0, "2", True])
def test_a_number_of_steps_is_an_integer(n_steps):
    with pytest.raises(TypeError, match=rf"^n_steps must be an integer, got {n_steps!r}$"):
        prepare_inputs(FLAT, np.zeros(4), n_steps, layout="images")


@pytest.mark.parametrize("layout", ["images", "events", "raster"])
def test_no_slip_asks_for_all_memory(layout):
    data = np.array([[0, 1]]) if layout == "events" else np.zeros((1, 4))
    with pytest.raises(InputError, match="n_steps must be at least 1 and at most 1048576, got 10"):
        prepare_inputs(FLAT, data, 10**9, layout=layout)


@pytest.mark.parametrize("layout", ["raster", "events"])
@pytest.mark.parametrize("encoding", ["rate", "latency"])
def test_encodings_are_for_images(layout, encoding):
    data = np.zeros((5, 2), int) if layout == "events" else np.zeros((5, 4))
    match = f"'input' is given as {layout}, and encoding '{encoding}' is for images; leave it out"
    with pytest.raises(InputError, match=match):
        prepare_inputs(FLAT, data, layout=layout, encoding=encoding)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"takes images of shape \(4,\) or \(n_samples, 4\), got"):
        prepare_inputs(FLAT, np.zeros((2, 5)), 3, layout="images")


def test_slips_of_the_caller_are_value_errors():
    with pytest.raises(ValueError, match=r"Layout must be one of .*, not 'video'"):
        prepare_inputs(FLAT, np.zeros((5, 4)), layout="video")
    with pytest.raises(ValueError, match=r"Encoding must be one of .*, not 'morse'"):
        prepare_inputs(FLAT, np.zeros(4), 3, layout="images", encoding="morse")


def test_rate_encoding_is_seeded_and_as_frequent_as_the_value():
    images = np.array([[0, 0.25, 0.75, 1]])

    def spikes(seed):
        inputs = prepare_inputs(FLAT, images, 4000, layout="images", encoding="rate", seed=seed)
        return inputs.values["input"]

    np.testing.assert_array_equal(spikes(1), spikes(1))
    assert (spikes(1) != spikes(2)).any()
    assert set(np.unique(spikes(1))) == {0, 1}
    np.testing.assert_allclose(spikes(1).mean(axis=(0, 1)), images[0], atol=0.03)


def test_latency_encoding_fires_once_and_early_for_large_values():
    images = np.array([[0, 0.5, 1, 0.1]])
    raster = prepare_inputs(FLAT, images, 11, layout="images", encoding="latency").values["input"]
    assert raster.sum(axis=0).tolist() == [[0, 1, 1, 1]]
    assert raster[:, 0].argmax(axis=0)[1:].tolist() == [5, 0, 9]


@pytest.mark.parametrize("encoding", ["rate", "latency"])
def test_encodings_refuse_values_outside_their_range(encoding):
    with pytest.raises(
        InputError, match=rf"{encoding} encoding takes values from 0 to 1, got -1 to 2"
    ):
        prepare_inputs(FLAT, np.array([0, 2, -1, 1]), 3, layout="images", encoding=encoding)


def test_events_become_a_raster_in_any_order():
    events = np.array([[2, 3, 1], [0, 0, 0], [2, 3, 1], [1, 1, 0]])
    inputs = prepare_inputs(FLAT, events, 5, layout="events")
    expected = np.zeros((5, 2, 4))
    expected[0, 0, 0] = expected[1, 0, 1] = 1
    expected[2, 1, 3] = 2
    np.testing.assert_array_equal(inputs.values["input"], expected)
    assert prepare_inputs(MAP, events[:, :2], layout="events").values["input"].shape == (3, 1, 2, 3)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            np.zeros((3, 4), int),
            r"takes events as integers of .* got int64 of shape \(3, 4\)",
        ),
        (np.zeros((3, 2)), r"takes events as integers .* got float64"),
        (np.array([[0, 4]]), "event 0 has neuron 4, which must be from 0 to 3"),
        (np.array([[0, 1], [5, 1]]), "event 1 has timestep 5, which must be from 0 to 4"),
        (np.array([[-1, 1]]), "event 0 has timestep -1, which must be from 0 to 4"),
        (np.array([[0, 1, -2]]), "event 0 has sample -2"),
        (np.array([[0, 1, 2**40]]), "event 0 has sample 1099511627776"),
    ],
)
def test_events_outside_the_network_are_refused(events, message):
    with pytest.raises(InputError, match=f"^Input 'input'.*{message}"):
        prepare_inputs(FLAT, events, 5, layout="events")


def test_prepared_inputs_are_checked_again():
    inputs = prepare_inputs(FLAT, np.zeros((5, 3, 4)))
    assert prepare_inputs(FLAT, inputs) is inputs
    with pytest.raises(InputError, match="takes a raster"):
        prepare_inputs(MAP, inputs)
    with pytest.raises(InputError, match="has 5 timesteps, but n_steps is 4"):
        prepare_inputs(FLAT, inputs, 4)
    with pytest.raises(InputError, match=r"has the inputs \['input', 'right'\], got \['input'\]"):
        prepare_inputs(network((4,), (2,)), inputs)


def test_samples_are_taken_with_their_labels():
    raster = np.arange(40, dtype=np.float32).reshape(2, 5, 4)
    inputs = Inputs(values={"input": raster}, labels=np.arange(5))
    assert inputs.take(2).labels.tolist() == [0, 1]
    assert inputs.take(3, 5).labels.tolist() == [3, 4]
    np.testing.assert_array_equal(inputs.take(3, 5).values["input"], raster[:, 3:5])


@pytest.mark.parametrize(
    ("key", "array", "layout"),
    [
        ("x", np.ones((6, 4)), "images"),
        ("images", np.ones((6, 4)), "images"),
        ("spikes", np.ones((3, 6, 4), bool), "raster"),
        ("raster", np.ones((3, 6, 4), np.uint8), "raster"),
        ("events", np.array([[0, 1, 5]]), "events"),
    ],
)
def test_files_say_their_layout_by_key(tmp_path, key, array, layout):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **{key: array}, y=np.arange(6), n_steps=3)
    file = load_inputs(path)
    assert (file.layout, file.n_steps, file.labels.tolist()) == (layout, 3, list(range(6)))
    inputs = prepare_inputs(FLAT, file)
    assert inputs.values["input"].shape == (3, 6, 4)
    assert inputs.labels.tolist() == list(range(6))


def test_scale_of_a_file_is_applied(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([[0, 51, 102, 255]], np.uint8), scale=1 / 255, n_steps=2)
    value = prepare_inputs(FLAT, load_inputs(path)).values["input"]
    np.testing.assert_allclose(value[1, 0], [0, 0.2, 0.4, 1], rtol=1e-6)


def test_files_for_several_inputs(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **{"raster:input": np.ones((3, 4)), "raster:right": np.zeros((3, 2))})
    inputs = prepare_inputs(network((4,), (2,)), load_inputs(path))
    assert inputs.values["right"].shape == (3, 1, 2)


def test_single_arrays_are_rasters_unless_told(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    assert prepare_inputs(FLAT, load_inputs(tmp_path / "a.npy")).n_steps == 3
    images = load_inputs(tmp_path / "a.npy", layout="images")
    assert prepare_inputs(FLAT, images, 7).n_samples == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.ones(3)}, r"must have arrays of one layout under the keys .*, got \['z'\]"),
        ({"x": np.ones(4), "raster": np.ones((3, 4))}, "must have arrays of one layout"),
        ({"x": np.ones(4), "images": np.ones(4)}, "has several arrays for one input"),
        ({"x": np.ones((2, 4)), "y": np.ones(2)}, "y must be a vector of integers, got float64"),
        ({"x": np.ones((2, 4)), "n_steps": [1, 2]}, "n_steps must be one finite number"),
        ({"x": np.ones((2, 4)), "n_steps": 2.5}, "n_steps must be a whole number, got 2.5"),
        ({"x": np.ones((2, 4)), "scale": np.nan}, "scale must be one finite number, got"),
        ({"x": np.array(["a"]), "scale": 2}, "images must hold real numbers, got dtype <U1"),
    ],
)
def test_files_with_other_keys_are_refused(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=rf"^{path}:? .*{message}|^{path}: {message}"):
        load_inputs(path)


def test_labels_must_match_the_samples(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((2, 4)), y=np.arange(3), n_steps=1)
    with pytest.raises(InputError, match="3 labels for 2 samples"):
        prepare_inputs(FLAT, load_inputs(tmp_path / "a.npz"))


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"Cannot read inputs from .*: Object arrays cannot be"):
        load_inputs(tmp_path / "a.npy")


@pytest.mark.parametrize("data", [b"", b"hello", b"TALONIMG\1\0", b"\x89HDF\r\n\x1a\n"])
def test_files_of_another_kind_are_told_apart(tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"^{path} is no \.npz or \.npy file of NumPy$"):
        load_inputs(path)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Input file not found: .*nope\.npz"):
        load_inputs(tmp_path / "nope.npz")


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "/dev"])
def test_inputs_are_read_from_regular_files(name):
    with pytest.raises(InputError, match=rf"^{name} is no regular file; inputs are read from one$"):
        load_inputs(name)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_damaged_files_give_data_or_an_error(tmp_path, compress):
    path = tmp_path / "a.npz"
    compress(path, x=np.arange(40.0).reshape(10, 4), y=np.arange(10))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:n] for n in rng.integers(0, len(whole), 60)]
    for _ in range(200):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] = rng.integers(256)
        damaged.append(bytes(changed))
    n_errors = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            load_inputs(path)
        except TalonError as exc:
            n_errors += 1
            assert str(path) in str(exc)
    assert n_errors > 60
