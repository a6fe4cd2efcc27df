"""A batch tells of each file what became of it."""

from pathlib import Path

from talon import ir
from talon.sdk.batch import batch_convert
from talon.sdk.convert import quantize_weights
from talon.testing import divider


def test_files_that_fail_stop_nothing_and_leave_nothing(tmp_path: Path) -> None:
    ir.write(tmp_path / "a.t1c", divider(3))
    ir.write(tmp_path / "b.t1c", divider(4))
    (tmp_path / "bad.t1c").write_text("no network")
    sources = [tmp_path / name for name in ("a.t1c", "bad.t1c", "missing.t1c", "b.t1c")]
    results = batch_convert(sources, tmp_path / "out", quantize_weights)
    assert [result.success for result in results] == [True, False, False, True]
    assert "bad.t1c" in str(results[1].error) and "missing.t1c" in str(results[2].error)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.t1c", "b.t1c"]
    made = ir.read(results[3].destination)
    assert made.metadata["quantized"]
    assert results[3].stats["nodes"] == len(made.nodes)


def test_files_that_are_there_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    ir.write(tmp_path / "a.t1c", divider(3))
    (tmp_path / "other").mkdir()
    ir.write(tmp_path / "other" / "a.t1c", divider(4))
    out = tmp_path / "out"
    both = [tmp_path / "a.t1c", tmp_path / "other" / "a.t1c"]
    first, second = batch_convert(both, out, overwrite=True)
    assert first.success and not second.success
    assert "another source of that name" in str(second.error)
    (again,) = batch_convert(both[:1], out)
    assert not again.success and "pass overwrite=True" in str(again.error)
    (again,) = batch_convert(both[:1], out, overwrite=True)
    assert again.success
