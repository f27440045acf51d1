"""Scans from Python: results, resumption, faults."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers.scan_data import BROKEN, content_of, encoded, images, write_files, write_parquet, write_tar, write_tars
from splitnest.errors import DataError, OutputError, UsageError
from splitnest.scanning.part import part_name
from splitnest.scanning.retry import retry_scan


def scan(model: Path, sources: object, out: Path | str, **options: Any) -> splitnest.ScanStatus:
    return splitnest.scan(model, sources, out, device="cpu", **options)  # type: ignore[arg-type]


def test_no_images(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no images"):
        scan(model, tmp_path, tmp_path / "out")
    write_tar(tmp_path / "a.tar", {})
    status = scan(model, tmp_path / "a.tar", tmp_path / "out")
    assert (status.num_shards, status.finished, status.images, status.errors) == (1, 1, 0, 0)
    assert list(splitnest.read_scan(tmp_path / "out")) == []


def test_results_are_those_of_predict(model: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "images", images(7))
    status = scan(model, tmp_path / "images", tmp_path / "out", shard_size=3)
    assert (status.num_shards, status.images, status.is_complete) == (3, 7, True)
    results = splitnest.read_scan(tmp_path / "out")
    assert len(results) == 7
    predictor = splitnest.load(model, device="cpu")
    for image, name in zip(results, sorted(images(7)), strict=True):
        assert image.key == name
        (expected,) = predictor.predict(tmp_path / "images" / name)
        assert isinstance(image.result, splitnest.Classification)
        assert isinstance(expected, splitnest.Classification)
        assert np.array_equal(image.result.probabilities, expected.probabilities)
        assert image.result.image_size == expected.image_size


def test_every_kind_of_source_has_the_same_results(model: Path, tmp_path: Path) -> None:
    files = images(5)
    write_files(tmp_path / "images", files)
    (tmp_path / "images" / "list.txt").write_text("\n".join(files))
    write_tar(tmp_path / "a.tar", files)
    write_parquet(tmp_path / "a.parquet", {"image": list(files.values()), "key": list(files)})
    found = []
    for number, source in enumerate(("images", "images/list.txt", "a.tar", "a.parquet", "{a.tar,a.parquet}")):
        scan(model, str(tmp_path / source), tmp_path / f"out{number}")
        rows = splitnest.read_scan(tmp_path / f"out{number}").rows()
        found.append([row for _, row in rows])
    assert len(found[0]) == 5
    assert found[0] == found[1] == found[2] == found[3]
    assert found[4] == 2 * found[0]


def test_a_broken_image_is_a_row_with_an_error(model: Path, tmp_path: Path) -> None:
    broken = [0, 4, 5, 11]
    sources = write_tars(tmp_path, 3, 4, broken)
    status = scan(model, sources, tmp_path / "out", batch_size=3)
    assert (status.images, status.errors, status.finished) == (8, 4, 3)
    rows = list(splitnest.read_scan(tmp_path / "out"))
    assert [image.key for image in rows] == list(images(12))
    assert [number for number, image in enumerate(rows) if image.error] == broken
    assert all((image.result is None) == (image.error is not None) for image in rows)
    assert "cannot be read as an image" in str(rows[4].error)


def test_a_finished_shard_is_kept_and_others_are_predicted(model: Path, tmp_path: Path) -> None:
    sources, out = write_tars(tmp_path, 4, 3), tmp_path / "out"
    scan(model, sources, out)
    clean = content_of(out)
    (out / part_name(1)).unlink()
    (out / part_name(3)).write_bytes(b"kept as it is")
    (out / "_claim-00002.json").write_text("{}")
    scan_again = scan(model, sources, out)
    assert scan_again.finished == 4
    assert len(scan_again.damaged) == 1
    assert content_of(out) == clean | {part_name(3): b"kept as it is"}
    with pytest.raises(DataError, match=r"part-00003\.parquet is damaged or cut short"):
        list(splitnest.read_scan(out))
    (out / part_name(3)).unlink()
    scan(model, sources, out)
    assert content_of(out) == clean


def test_fixed_shares_are_the_whole(model: Path, tmp_path: Path) -> None:
    sources = write_tars(tmp_path, 5, 2)
    scan(model, sources, tmp_path / "clean")
    first = scan(model, sources, tmp_path / "out", shard="0/2")
    assert first.finished == 3
    with pytest.raises(DataError, match=r"lacks 2 of 5 shards: 1, 3"):
        splitnest.read_scan(tmp_path / "out")
    assert len(splitnest.read_scan(tmp_path / "out", incomplete=True)) == 6
    scan(model, sources, tmp_path / "out", shard=(1, 2))
    assert content_of(tmp_path / "out") == content_of(tmp_path / "clean")


def test_a_scan_in_memory(model: Path, tmp_path: Path) -> None:
    out = "memory://scan-in-memory/out"
    scan(model, write_tars(tmp_path, 2, 2), out)
    assert len(splitnest.read_scan(out)) == 4
    assert splitnest.scan_status(out).is_complete


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"batch_size": 2}, r"options\.batch_size \(1, not 2\)"),
        ({"what": "features"}, r"options\.what \(results, not features\)"),
        ({"fast": True}, "fast"),
        ({"shard_size": 7}, r"sources\.shard_size"),
    ],
)
def test_another_fingerprint_is_refused(model: Path, tmp_path: Path, options: dict[str, Any], key: str) -> None:
    sources = write_tar(tmp_path / "a.tar", images(1))
    scan(model, sources, tmp_path / "out")
    before = content_of(tmp_path / "out")
    with pytest.raises(UsageError, match=f"differ in .*{key}"):
        scan(model, sources, tmp_path / "out", **options)
    assert content_of(tmp_path / "out") == before


def test_other_weights_or_versions_are_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers.scan_data import write_model

    sources = write_tar(tmp_path / "a.tar", images(1))
    scan(model, sources, tmp_path / "out")
    from splitnest.scanning import fingerprint

    monkeypatch.setattr(fingerprint, "version", lambda name: "0")
    with pytest.raises(UsageError, match=r"versions\.torch \(\d.*, not 0\)"):
        scan(model, sources, tmp_path / "out")
    monkeypatch.undo()
    predictor = splitnest.load(model, device="cpu")
    next(predictor.module.parameters()).data[0] += 1
    other = write_model(tmp_path / "other.safetensors")
    from splitnest.weights import save

    save.save(predictor.module, predictor.recipe, other)
    with pytest.raises(UsageError, match=r"differ in weights"):
        scan(other, sources, tmp_path / "out")


def test_a_folder_of_others_is_refused(model: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "out", {"notes.txt": b""})
    with pytest.raises(UsageError, match=r"files that are not of a scan: notes\.txt"):
        scan(model, write_tar(tmp_path / "a.tar", images(1)), tmp_path / "out")
    with pytest.raises(DataError, match=r"has no _scan\.json"):
        splitnest.scan_status(tmp_path / "out")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_damaged_manifest(model: Path, tmp_path: Path, text: str) -> None:
    write_files(tmp_path, {"_scan.json": text.encode()})
    with pytest.raises(DataError, match=r"_scan\.json"):
        splitnest.scan_status(tmp_path)


def test_a_damaged_list_of_shards(model: Path, tmp_path: Path) -> None:
    sources, out = write_tar(tmp_path / "a.tar", images(1)), tmp_path / "out"
    scan(model, sources, out)
    (out / part_name(0)).unlink()
    (path,) = out.glob("_shards-*")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="is damaged"):
        scan(model, sources, out)


def test_retry_predicts_for_failed_images_alone(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = write_files(tmp_path / "images", images(6, broken=[1, 3])), tmp_path / "out"
    write_files(folder, {f"{n:06d}.png": encoded(n) for n in (1, 3)})
    scan(model, folder, tmp_path / "clean", shard_size=4)
    write_files(folder, {f"{n:06d}.png": BROKEN for n in (1, 3)})
    scan(model, folder, out, shard_size=4)
    assert retry_scan(out, device="cpu").repaired == 0
    write_files(folder, {"000001.png": encoded(1)})
    done = retry_scan(out, device="cpu")
    assert (done.images, done.repaired) == (2, 1)
    write_files(folder, {"000003.png": encoded(3)})
    assert retry_scan(out, device="cpu").repaired == 1
    assert retry_scan(out, device="cpu").images == 0
    rows, clean = (list(splitnest.read_scan(folder).rows()) for folder in (out, tmp_path / "clean"))
    assert [row["key"] for _, row in rows] == [row["key"] for _, row in clean]
    for (_, row), (_, expected) in zip(rows, clean, strict=True):
        assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


def test_retry_of_a_tar_that_was_cut_short(model: Path, tmp_path: Path) -> None:
    path, out = write_tar(tmp_path / "a.tar", images(4)), tmp_path / "out"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert scan(model, path, out).errors == 1
    path.write_bytes(whole)
    retry_scan(out, device="cpu")
    scan(model, path, tmp_path / "clean")
    assert content_of(out) == content_of(tmp_path / "clean")


def test_features(model: Path, tmp_path: Path) -> None:
    files = images(5) | {"wide.png": encoded(9, (60, 20)), "z.png": BROKEN}
    write_files(tmp_path / "images", files)
    scan(model, tmp_path / "images", tmp_path / "one", what="features")
    scan(model, tmp_path / "images", tmp_path / "many", what="features", batch_size=4)
    one, many = (list(splitnest.read_scan(tmp_path / name)) for name in ("one", "many"))
    assert one[-1].error
    for first, second in zip(one[:-1], many[:-1], strict=True):
        assert first.features is not None
        assert second.features is not None
        assert first.features.shape == (256,)
        assert np.allclose(first.features, second.features, atol=1e-5)


def test_arguments(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sources = write_tar(tmp_path / "a.tar", images(1))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"shard": "2/2"}, "I from 0 to N - 1"),
        ({"shard": "a/b"}, "I from 0 to N - 1"),
        ({"devices": 0}, "devices is 0"),
        ({"batch_size": 0}, "at least 1"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"weights": None}, "Random weights"),
        ({"what": "boxes"}, "'results' or 'features'"),
        ({"what": "features", "tta": True}, "tta has no effect"),
        ({"engine": "spark"}, "'local' or 'ray'"),
        ({"boxes": "whole"}, "no pose estimator"),
        ({"score_threshold": "auto"}, "no score thresholds"),
    ]
    for options, message in wrong:
        with pytest.raises(UsageError, match=message):
            scan(model, sources, out, **options)
    with pytest.raises(UsageError, match="model is a Predictor, but each process"):
        scan(splitnest.load(model, device="cpu"), sources, out)  # type: ignore[arg-type]
    assert not out.exists()


@pytest.mark.skipif("SPLITNEST_SOAK" not in os.environ, reason="starts three interpreters; make soak runs it")
def test_a_script_without_guard_is_named(model: Path, tmp_path: Path) -> None:
    sources = write_tar(tmp_path / "a.tar", images(1))
    script = tmp_path / "script.py"
    script.write_text(f"import splitnest\nsplitnest.scan({str(model)!r}, {str(sources)!r}, 'out', devices=2)\n")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "script.py, line 2: the processes of a scan import this script" in last
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    write_files(tmp_path, {"file": b""})
    with pytest.raises((OutputError, DataError), match="file"):
        scan(model, write_tar(tmp_path / "a.tar", images(1)), tmp_path / "file")


def test_a_full_disk(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, out = write_tars(tmp_path, 3, 2), tmp_path / "out"
    scan(model, sources, tmp_path / "clean")
    from splitnest import files

    write: Callable[..., None] = files.os.fsync
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 7:
            raise OSError(28, "No space left on device")
        write(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        scan(model, sources, out)
    monkeypatch.undo()
    assert json.loads((out / "_scan.json").read_text())["shards"]["count"] == 3
    scan(model, sources, out)
    assert content_of(out) == content_of(tmp_path / "clean")
