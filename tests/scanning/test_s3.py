"""Scans of an S3 bucket, through s3fs and a real server on this machine: the same as on disk (``make scale``)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import splitnest
from helpers.scan_data import content_of, images, write_files, write_parquet, write_tars
from splitnest.errors import DataError
from splitnest.scanning.claims import Claims, claim_name
from splitnest.scanning.retry import retry_scan
from splitnest.scanning.storage import Storage, open_storage

pytest.importorskip("s3fs", reason="s3fs is not installed; make scale installs it")
moto = pytest.importorskip("moto.server", reason="moto[server] is not installed; make scale installs it")

BUCKET = "s3://splitnest-test"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Start a server with an empty bucket, and return its URL."""
    import s3fs

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield BUCKET
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def upload(folder: Path, address: str) -> None:
    import s3fs

    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        s3fs.S3FileSystem().pipe_file(f"{address}/{path.relative_to(folder)}", path.read_bytes())


def files(storage: Storage) -> dict[str, bytes]:
    return {name: storage.read(name) for name in storage.names()}


def test_files_of_a_folder(bucket: str) -> None:
    storage = open_storage(f"{bucket}/storage")
    assert storage.names() == []
    assert not storage.exists("a")
    assert storage.create("a", b"1")
    assert not storage.create("a", b"2")
    storage.write("b", b"3")
    assert files(storage) == {"a": b"1", "b": b"3"}
    assert 0 <= (storage.age("a") or 0) < 100
    storage.remove("a")
    storage.remove("a")
    assert storage.names() == ["b"]
    with pytest.raises(DataError, match="storage/a cannot be read: it does not exist"):
        storage.read("a")


def test_claims(bucket: str) -> None:
    storage = open_storage(f"{bucket}/claims")
    with Claims(storage) as one, Claims(storage) as other:
        assert one.acquire(0)
        assert not other.acquire(0)
        one.release(0)
        assert other.acquire(0)
        storage.write(claim_name(1), json.dumps({"host": "other"}).encode())
        assert not one.acquire(1)
    assert storage.names() == [claim_name(1)]


@pytest.mark.parametrize("kind", ["tars", "files", "parquet"])
def test_a_bucket_has_the_results_of_the_disk(model: Path, tmp_path: Path, bucket: str, kind: str) -> None:
    source, address = tmp_path / kind, f"{bucket}/{kind}"
    if kind == "tars":
        write_tars(source, 3, 4, broken=[5])
    elif kind == "files":
        write_files(source, images(8, broken=[5]))
    else:
        source.mkdir()
        found = images(8, broken=[5])
        write_parquet(source / "a.parquet", {"image": list(found.values()), "key": list(found)}, 2)
    upload(source, address)
    options = {"shard_size": 4, "device": "cpu", "batch_size": 2}
    on_disk = splitnest.scan(model, source, tmp_path / "out", **options)  # type: ignore[arg-type]
    in_bucket = splitnest.scan(model, address, f"{address}/out", **options)  # type: ignore[arg-type]
    assert in_bucket == on_disk
    one, other = files(open_storage(f"{address}/out")), content_of(tmp_path / "out")
    parts = [name for name in one if name.startswith("part-")]
    assert {name: one[name] for name in parts} == {name: other[name] for name in parts}
    assert sorted(name for name in one if name.startswith("_")) == [
        "_scan.json",
        *sorted(name for name in one if name.startswith("_shards")),
    ]
    storage = open_storage(f"{address}/out")
    storage.remove(parts[0])
    assert splitnest.scan(model, address, f"{address}/out", **options).is_complete  # type: ignore[arg-type]
    assert storage.read(parts[0]) == other[parts[0]]
    assert [image.key for image in splitnest.read_scan(f"{address}/out")] == [
        image.key for image in splitnest.read_scan(tmp_path / "out")
    ]
    assert retry_scan(f"{address}/out", device="cpu").repaired == 0


def test_a_bucket_that_cannot_be_read(model: Path, tmp_path: Path, bucket: str) -> None:
    with pytest.raises(DataError, match=r"s3://no-such-bucket/x.* (cannot be listed|has no images)"):
        splitnest.scan(model, "s3://no-such-bucket/x", tmp_path / "out", device="cpu")
    with pytest.raises(DataError, match=r"no-such\.txt cannot be read"):
        splitnest.scan(model, f"{bucket}/no-such.txt", tmp_path / "out", device="cpu")
    with pytest.raises(splitnest.OutputError, match=r"no-such-bucket/out/_shards-.* cannot be written"):
        splitnest.scan(model, write_tars(tmp_path, 1, 1), "s3://no-such-bucket/out", device="cpu")
