"""Order of training samples: complete, grouped, the same for any number of workers, exactly resumable."""

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detection_training_set import training_set
from splitnest.data.loading.batch_sampler import BatchSampler
from splitnest.data.loading.corrupt import LoadedSample
from splitnest.data.loading.training_loader import TrainingLoader
from splitnest.errors import DataError, UsageError


def flat(step: list[list[LoadedSample]]) -> list[LoadedSample]:
    return [loaded for part in step for loaded in part]


def sizes(*is_wide: bool) -> np.ndarray:
    return np.array([(30, 40) if wide else (40, 30) for wide in is_wide], np.int64).reshape(-1, 2)


def test_fewer_samples_than_a_batch_are_rejected() -> None:
    for count in (0, 3):
        with pytest.raises(UsageError, match=f"batch_size is 4, but there are only {count} .* to {count} or less"):
            BatchSampler(sizes(*[True] * count), 4, seed=0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6), st.integers(0, 5), st.booleans())
def test_epoch_has_complete_batches_of_distinct_samples(
    is_wide: list[bool], batch_size: int, epoch: int, grouped: bool
) -> None:
    batch_size = min(batch_size, len(is_wide))
    sampler = BatchSampler(sizes(*is_wide), batch_size, seed=3, group_by_aspect_ratio=grouped)
    batches = sampler.epoch(epoch)
    assert batches.shape == (sampler.steps_per_epoch, batch_size)
    assert len(set(batches.ravel().tolist())) == batches.size > len(is_wide) - batch_size
    kinds = [{is_wide[index] for index in batch} for batch in batches.tolist()]
    if grouped:
        assert all(len(kind) == 1 for kind in kinds[:-1])
    np.testing.assert_array_equal(batches, BatchSampler(sizes(*is_wide), batch_size, 3, grouped).epoch(epoch))


def test_epochs_differ_and_leave_out_different_samples() -> None:
    sampler = BatchSampler(sizes(*[True, False] * 15), 8, seed=0)
    assert sampler.steps_per_epoch == 3
    times = Counter(index for epoch in range(200) for index in sampler.epoch(epoch).ravel().tolist())
    assert len(times) == 30
    assert 140 < min(times.values()) <= max(times.values()) < 180  # 160 is expected
    assert (sampler.epoch(0) != sampler.epoch(1)).any()
    assert (sampler.epoch(0) != BatchSampler(sizes(*[True, False] * 15), 8, seed=1).epoch(0)).any()
    kinds = [[index % 2 for index in batch] for epoch in range(9) for batch in sampler.epoch(epoch)[:2].tolist()]
    assert {kind[0] for kind in kinds} == {0, 1}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40))
def test_steps_resume_at_any_step(step: int) -> None:
    sampler = BatchSampler(sizes(*[True] * 11), 3, seed=5)
    from_start = list(islice(sampler.from_step(0), step + 5))[step:]
    resumed = list(islice(sampler.from_step(step), 5))
    assert [{epoch for epoch, _ in keys} for keys in resumed] == [{(step + n) // 3} for n in range(5)]
    assert from_start == resumed
    assert [[index for _, index in keys] for keys in resumed[:1]] == sampler.epoch(step // 3)[step % 3 :][:1].tolist()


def test_samples_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    data = training_set(tmp_path)
    state = torch.get_rng_state()
    expected = list(islice(TrainingLoader(data, data.train_cfg).steps(0), 8))
    assert [flat(step)[0].key[0] for step in expected] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert torch.equal(torch.get_rng_state(), state)
    for workers, start in ((2, 0), (0, 4), (1, 4)):
        train_cfg = data.train_cfg.model_copy(update={"workers": workers})
        steps = list(islice(TrainingLoader(data, train_cfg).steps(start), 8 - start))
        for step, expected_step in zip(steps, expected[start:], strict=True):
            for loaded, other in zip(flat(step), flat(expected_step), strict=True):
                assert (loaded.key, loaded.errors) == (other.key, other.errors)
                assert loaded.sample is not None
                assert other.sample is not None
                assert loaded.sample.name == other.sample.name
                assert torch.equal(loaded.sample.image, other.sample.image)
                assert loaded.sample.instances is not None
                assert other.sample.instances is not None
                assert torch.equal(loaded.sample.instances.boxes, other.sample.instances.boxes)


def test_step_is_split_into_accumulated_parts(tmp_path: Path) -> None:
    data = training_set(tmp_path, batch_size=4)
    (whole,) = next(TrainingLoader(data, data.train_cfg).steps(0))
    parts = next(TrainingLoader(data, data.train_cfg.model_copy(update={"accumulate": 2})).steps(0))
    assert [len(part) for part in parts] == [2, 2]
    assert [loaded.key for loaded in flat(parts)] == [loaded.key for loaded in whole]


def test_dataset_smaller_than_a_batch_is_rejected(tmp_path: Path) -> None:
    data = training_set(tmp_path, batch_size=8)
    with pytest.raises(UsageError, match="batch_size is 8, but there are only 7"):
        TrainingLoader(data, data.train_cfg)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_image_is_a_data_error(tmp_path: Path, workers: int) -> None:
    data = training_set(tmp_path, workers=workers)
    (tmp_path / "3.png").write_text("no image")
    with pytest.raises(DataError) as caught:
        list(islice(TrainingLoader(data, data.train_cfg).steps(0), 8))
    assert str(caught.value) == (
        f"{tmp_path / '3.png'} cannot be read as an image (unknown image format). Replace the file. "
        f"1 of 7 images are unreadable, more than the 0 allowed "
        f"(train.max_corrupt_fraction=0.001). Run splitnest data check to list all of them."
    )
