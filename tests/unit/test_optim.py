"""Schedules against closed formulas, parameter groups, the learning rate that an optimizer gets."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from splitnest import recipes
from splitnest.recipe import ClassificationRecipe, SemanticRecipe, Training
from splitnest.training.optim import make_optimizer, make_scheduler, parameter_groups
from splitnest.training.schedule import MAX_ROW_STEPS, MAX_ROWS, Schedule


def facts(**values: Any) -> Training:
    return Training(**{"length": 12, "learning_rate": 0.02, **values})


MMDET = facts(milestones=(8, 11), warmup_steps=500, warmup_factor=0.001)
DETECTRON2 = facts(unit="iteration", length=90000, milestones=(60000, 80000), warmup_steps=1000, warmup_factor=0.001)


def test_a_module_without_parameters() -> None:
    assert parameter_groups(nn.ReLU(), facts(decay_norms=False)) == [{"params": [], "weight_decay": 1e-4}]


def test_mmdetection_1x() -> None:
    epoch = 7330  # 117,266 images of COCO with annotations in batches of 16
    schedule = Schedule(MMDET, epoch)
    assert schedule.total == 12 * epoch
    assert schedule.rate(0) == pytest.approx(0.02 * 0.001)
    for step in (1, 250, 499):  # mmcv: lr * (1 - (1 - step / 500) * (1 - 0.001))
        assert schedule.rate(step) == pytest.approx(0.02 * (1 - (1 - step / 500) * (1 - 0.001)))
    assert schedule.rate(500) == schedule.rate(8 * epoch - 1) == 0.02
    assert schedule.rate(8 * epoch) == schedule.rate(11 * epoch - 1) == pytest.approx(0.002)
    assert schedule.rate(11 * epoch) == schedule.rate(12 * epoch - 1) == pytest.approx(0.0002)


def test_detectron2_1x() -> None:
    schedule = Schedule(DETECTRON2, 7330)
    assert schedule.total == 90000
    for step in (0, 1, 999):  # detectron2: factor * (1 - alpha) + alpha
        assert schedule.factor(step) == 0.001 * (1 - step / 1000) + step / 1000
    assert schedule.rate(1000) == schedule.rate(59999) == 0.02
    assert schedule.rate(60000) == schedule.rate(79999) == pytest.approx(0.002)
    assert schedule.rate(80000) == schedule.rate(89999) == pytest.approx(0.0002)


def test_cosine() -> None:
    schedule = Schedule(facts(unit="iteration", length=100, schedule="cosine", warmup_steps=10, warmup_factor=0.1), 7)
    for step in (0, 5, 9):
        assert schedule.factor(step) == pytest.approx(0.1 + 0.9 * step / 10)
    for step in (10, 55, 77, 99):
        assert schedule.factor(step) == pytest.approx((1 + math.cos(math.pi * (step - 10) / 90)) / 2)
    assert schedule.factor(55) == pytest.approx(0.5)
    assert schedule.factor(100) == 0


def test_a_cosine_that_ends_before_its_warm_up_rises_to_the_end() -> None:
    schedule = Schedule(facts(unit="iteration", length=4, schedule="cosine", warmup_steps=10), 7)
    assert [round(schedule.factor(step), 3) for step in range(4)] == [0.001, 0.101, 0.201, 0.301]


def test_classification_270_epochs() -> None:
    """``LR_Scheduler`` of PyTorch-Encoding, in the words of its own formula: warm-up from 0, then a cosine."""
    recipe = recipes.get("resnest50_imagenet.official")
    assert isinstance(recipe, ClassificationRecipe)
    assert recipe.train is not None
    steps = 1_281_167 // 8192
    schedule = Schedule(recipe.train, steps)
    assert schedule.total == 270 * steps
    warm, total = 5 * steps, 265 * steps
    for step in (0, 1, warm - 1, warm, warm + 1, warm + total // 3, warm + total - 1):
        expected = 3.2 * step / warm if step < warm else 0.5 * 3.2 * (1 + math.cos(math.pi * (step - warm) / total))
        assert schedule.rate(step) == pytest.approx(expected, abs=1e-12)


def test_a_rate_that_is_for_another_batch_is_scaled() -> None:
    plain, scaled = facts(batch_size=4), facts(batch_size=4, rate_batch_size=16, schedule="poly", min_rate=0.001)
    assert (plain.peak_rate, scaled.peak_rate) == (plain.learning_rate, scaled.learning_rate / 4)
    schedule = Schedule(scaled, 7)
    assert schedule.rate(0) == pytest.approx(scaled.peak_rate)
    assert schedule.rate(schedule.total) == pytest.approx(0.001)  # a least rate stays what it is
    (group,) = make_optimizer(nn.Linear(2, 2), scaled).param_groups
    assert group["lr"] == scaled.peak_rate


def test_mmsegmentation_80k() -> None:
    """mmcv ``PolyLrUpdaterHook``: (lr - min_lr) * (1 - step / steps) ** power + min_lr."""
    recipe = recipes.get("pspnet_resnest101_d8_cityscapes.mmseg")
    assert isinstance(recipe, SemanticRecipe)
    assert recipe.train is not None
    schedule = Schedule(recipe.train, 371)  # 2,975 photographs in batches of 8
    assert schedule.total == 80_000
    for step, rate in ((0, 0.01), (20_000, 7.74171e-3), (40_000, 5.40528e-3), (79_999, 1.00383e-4)):
        assert schedule.rate(step) == pytest.approx(rate, rel=1e-5)
    assert schedule.rate(80_000) == pytest.approx(1e-4)


def test_poly_with_a_warm_up_that_falls_to_nothing() -> None:
    schedule = Schedule(facts(length=2, schedule="poly", power=2, warmup_steps=4, warmup_factor=0.5), 5)
    assert schedule.factor(0) == 0.5
    assert schedule.factor(2) == pytest.approx(0.75 * 0.8**2)
    assert schedule.factor(5) == pytest.approx(0.25)
    assert schedule.factor(10) == 0


def test_what_is_due() -> None:
    by_epoch = Schedule(facts(length=3, evaluate_every=2, save_every=1), 5)
    assert [done for done in range(16) if by_epoch.evaluates(done)] == [10, 15]
    assert [done for done in range(16) if by_epoch.saves(done)] == [5, 10, 15]
    assert by_epoch.epoch(5) == 1
    by_step = Schedule(facts(unit="iteration", length=7, save_every=3), 5)
    assert [done for done in range(8) if by_step.evaluates(done)] == [7]
    assert [done for done in range(8) if by_step.saves(done)] == [3, 6, 7]
    assert all(by_step.logs(done) for done in range(8))
    assert Schedule(DETECTRON2, 7330).row_steps == MAX_ROW_STEPS


@given(
    length=st.integers(1, 200),
    epoch=st.integers(1, 50),
    unit=st.sampled_from(["epoch", "iteration"]),
    schedule=st.sampled_from(["multi_step", "cosine", "poly"]),
    warmup=st.integers(0, 300),
    milestones=st.sets(st.integers(1, 200), max_size=3).map(lambda steps: tuple(sorted(steps))),
)
def test_laws_of_every_schedule(
    length: int, epoch: int, unit: str, schedule: str, warmup: int, milestones: tuple[int, ...]
) -> None:
    recipe = facts(length=length, unit=unit, schedule=schedule, warmup_steps=warmup, milestones=milestones)
    timed = Schedule(recipe, epoch)
    factors = [timed.factor(step) for step in range(timed.total)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[warmup:]
    assert all(late <= early for early, late in pairwise(after))
    assert timed.logs(timed.total)
    assert timed.evaluates(timed.total)
    assert timed.saves(timed.total)
    assert sum(timed.logs(done) for done in range(1, timed.total + 1)) <= max(2 * MAX_ROWS, timed.total / MAX_ROW_STEPS)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_optimizer_follows_the_schedule(optimizer: str) -> None:
    recipe = facts(
        unit="iteration", length=9, milestones=(4, 7), warmup_steps=3, optimizer=optimizer, decay_norms=False
    )
    schedule = Schedule(recipe, 1)
    module = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    built = make_optimizer(module, recipe)
    scheduler = make_scheduler(built, schedule)
    for step in range(9):
        assert [group["lr"] for group in built.param_groups] == [schedule.rate(step)] * 2
        module(torch.ones(1, 2)).sum().backward()
        built.step()
        scheduler.step()


def test_norms_decay_or_not() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.SyncBatchNorm(4), nn.Linear(4, 2)
    )
    module[4].weight.requires_grad_(False)
    (everything,) = parameter_groups(module, facts(weight_decay=1e-4))
    assert everything["weight_decay"] == 1e-4
    assert len(everything["params"]) == 2 + 2 + 2 + 2 + 1  # type: ignore[arg-type]  # a list
    decaying, kept = parameter_groups(module, facts(weight_decay=1e-4, decay_norms=False))
    assert (decaying["weight_decay"], kept["weight_decay"]) == (1e-4, 0)
    assert [id(p) for p in decaying["params"]] == [  # type: ignore[attr-defined]
        id(module[0].weight),
        id(module[0].bias),
        id(module[4].bias),
    ]
    norms = [id(p) for n in (1, 2, 3) for p in module[n].parameters()]
    assert [id(p) for p in kept["params"]] == norms  # type: ignore[attr-defined]


def test_sgd_is_that_of_the_originals() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    module = nn.Module()
    module.weight = weight
    built = make_optimizer(module, facts(learning_rate=0.1, momentum=0.9, weight_decay=0.5))
    velocity, expected = 0.0, 1.0
    for gradient in (2.0, -1.0):
        weight.grad = torch.tensor([gradient])
        built.step()
        velocity = 0.9 * velocity + gradient + 0.5 * expected
        expected -= 0.1 * velocity
        assert weight.item() == pytest.approx(expected)
