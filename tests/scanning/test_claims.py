"""Claims of shards."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from splitnest.scanning import claims
from splitnest.scanning.claims import Claims, claim_name, claimed_shard
from splitnest.scanning.storage import open_storage


def test_one_of_two_workers_gets_a_shard(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    with Claims(storage) as one, Claims(storage) as other:
        assert one.acquire(3)
        assert not other.acquire(3)
        assert other.acquire(4)
        one.release(3)
        assert other.acquire(3)
    assert storage.names() == []


def test_a_claim_of_a_living_process_is_kept_until_it_is_stale(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    with Claims(storage) as one, Claims(storage) as other:
        assert one.acquire(0)
        age = time.time() - claims.STALE_S + 5
        os.utime(tmp_path / claim_name(0), (age, age))
        assert not other.acquire(0)
        os.utime(tmp_path / claim_name(0), (age - 10, age - 10))
        assert other.acquire(0)


def test_a_claim_of_a_process_that_ended_is_taken_over_at_once(tmp_path: Path) -> None:
    code = (
        "from splitnest.scanning.claims import Claims; from splitnest.scanning.storage import open_storage\n"
        f"assert Claims(open_storage({str(tmp_path)!r})).acquire(7)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / claim_name(7)).exists()
    with Claims(open_storage(tmp_path)) as one:
        assert one.acquire(7)


def test_a_claim_of_another_machine_or_a_damaged_one_is_kept(tmp_path: Path) -> None:
    owner = {"host": "other", "pid": 1, "started": "1", "token": "x"}
    (tmp_path / claim_name(0)).write_text(json.dumps(owner))
    (tmp_path / claim_name(1)).write_text("{")
    with Claims(open_storage(tmp_path)) as one:
        assert not one.acquire(0)
        assert not one.acquire(1)


def test_names() -> None:
    assert claimed_shard(claim_name(123_456)) == 123_456
    assert claimed_shard("part-00001.parquet") is None


def test_claims_are_renewed(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    before, claims.HEARTBEAT_S = claims.HEARTBEAT_S, 0.01
    try:
        with Claims(storage) as one:
            assert one.acquire(0)
            os.utime(tmp_path / claim_name(0), (0, 0))
            end = time.monotonic() + 5
            while (storage.age(claim_name(0)) or 0) > 100 and time.monotonic() < end:
                time.sleep(0.01)
            assert (storage.age(claim_name(0)) or 0) < 100
    finally:
        claims.HEARTBEAT_S = before
