"""Learning-rate schedules against closed formulas, parameter groups, and optimizers."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.models.build import build_model
from splitnest.recipe import ClassificationRecipe, SemanticRecipe, Training
from splitnest.training.optim import build_optimizer, build_scheduler, parameter_groups, stage_depths
from splitnest.training.schedule import MAX_ROW_STEPS, MAX_ROWS, Schedule


def train_config(**values: Any) -> Training:
    length = {} if "iterations" in values else {"epochs": 12}
    return Training(**{"lr": 0.02, **length, **values})


def multi_step(*milestones: int) -> dict[str, Any]:
    return {"type": "multi_step", "milestones": milestones}


MMDET = train_config(schedule=multi_step(8, 11), warmup_iterations=500, warmup_factor=0.001)
DETECTRON2 = train_config(
    iterations=90000, schedule=multi_step(60000, 80000), warmup_iterations=1000, warmup_factor=0.001
)


def test_module_without_parameters_has_one_empty_group() -> None:
    assert parameter_groups(nn.ReLU(), train_config(decay_norms=False)) == [{"params": [], "weight_decay": 1e-4}]


def test_schedule_of_mmdetection_1x() -> None:
    epoch = 7330  # 117,266 images of COCO with annotations in batches of 16
    schedule = Schedule(MMDET, epoch)
    assert schedule.total == 12 * epoch
    assert schedule.lr(0) == pytest.approx(0.02 * 0.001)
    for step in (1, 250, 499):  # mmcv: lr * (1 - (1 - step / 500) * (1 - 0.001))
        assert schedule.lr(step) == pytest.approx(0.02 * (1 - (1 - step / 500) * (1 - 0.001)))
    assert schedule.lr(500) == schedule.lr(8 * epoch - 1) == 0.02
    assert schedule.lr(8 * epoch) == schedule.lr(11 * epoch - 1) == pytest.approx(0.002)
    assert schedule.lr(11 * epoch) == schedule.lr(12 * epoch - 1) == pytest.approx(0.0002)


def test_schedule_of_detectron2_1x() -> None:
    schedule = Schedule(DETECTRON2, 7330)
    assert schedule.total == 90000
    for step in (0, 1, 999):  # detectron2: factor * (1 - alpha) + alpha
        assert schedule.factor(step) == 0.001 * (1 - step / 1000) + step / 1000
    assert schedule.lr(1000) == schedule.lr(59999) == 0.02
    assert schedule.lr(60000) == schedule.lr(79999) == pytest.approx(0.002)
    assert schedule.lr(80000) == schedule.lr(89999) == pytest.approx(0.0002)


def test_cosine_schedule_follows_the_formula() -> None:
    train_cfg = train_config(iterations=100, schedule="cosine", warmup_iterations=10, warmup_factor=0.1)
    schedule = Schedule(train_cfg, 7)
    for step in (0, 5, 9):
        assert schedule.factor(step) == pytest.approx(0.1 + 0.9 * step / 10)
    for step in (10, 55, 77, 99):
        assert schedule.factor(step) == pytest.approx((1 + math.cos(math.pi * (step - 10) / 90)) / 2)
    assert schedule.factor(55) == pytest.approx(0.5)
    assert schedule.factor(100) == 0


def test_cosine_schedule_shorter_than_its_warm_up_rises_to_the_end() -> None:
    schedule = Schedule(train_config(iterations=4, schedule="cosine", warmup_iterations=10), 7)
    assert [round(schedule.factor(step), 3) for step in range(4)] == [0.001, 0.101, 0.201, 0.301]


def test_schedule_of_270_epochs_of_classification() -> None:
    """``LR_Scheduler`` of PyTorch-Encoding by its own formula: warm-up from 0, then a cosine."""
    recipe = zoo.get("resnest50_imagenet.official")
    assert isinstance(recipe, ClassificationRecipe)
    assert recipe.train is not None
    steps = 1_281_167 // 8192
    schedule = Schedule(recipe.train, steps)
    assert schedule.total == 270 * steps
    warm, total = 5 * steps, 265 * steps
    for step in (0, 1, warm - 1, warm, warm + 1, warm + total // 3, warm + total - 1):
        expected = 3.2 * step / warm if step < warm else 0.5 * 3.2 * (1 + math.cos(math.pi * (step - warm) / total))
        assert schedule.lr(step) == pytest.approx(expected, abs=1e-12)


def test_lr_for_another_batch_size_is_scaled() -> None:
    plain = train_config(batch_size=4)
    scaled = train_config(batch_size=4, lr_batch_size=16, schedule={"type": "poly", "min_lr": 0.001})
    assert (plain.peak_lr, scaled.peak_lr) == (plain.lr, scaled.lr / 4)
    schedule = Schedule(scaled, 7)
    assert schedule.lr(0) == pytest.approx(scaled.peak_lr)
    assert schedule.lr(schedule.total) == pytest.approx(0.001)  # min_lr is not scaled
    (group,) = build_optimizer(nn.Linear(2, 2), scaled).param_groups
    assert group["lr"] == scaled.peak_lr


def test_schedule_of_mmsegmentation_80k() -> None:
    """mmcv ``PolyLrUpdaterHook``: (lr - min_lr) * (1 - step / steps) ** power + min_lr."""
    recipe = zoo.get("pspnet_resnest101_d8_cityscapes.mmseg")
    assert isinstance(recipe, SemanticRecipe)
    assert recipe.train is not None
    schedule = Schedule(recipe.train, 371)  # 2,975 images in batches of 8
    assert schedule.total == 80_000
    for step, lr in ((0, 0.01), (20_000, 7.74171e-3), (40_000, 5.40528e-3), (79_999, 1.00383e-4)):
        assert schedule.lr(step) == pytest.approx(lr, rel=1e-5)
    assert schedule.lr(80_000) == pytest.approx(1e-4)


def test_poly_schedule_with_warm_up_falls_to_zero() -> None:
    poly = {"type": "poly", "power": 2}
    schedule = Schedule(train_config(epochs=2, schedule=poly, warmup_iterations=4, warmup_factor=0.5), 5)
    assert schedule.factor(0) == 0.5
    assert schedule.factor(2) == pytest.approx(0.75 * 0.8**2)
    assert schedule.factor(5) == pytest.approx(0.25)
    assert schedule.factor(10) == 0


def test_intervals_are_in_the_unit_of_the_length() -> None:
    by_epoch = Schedule(train_config(epochs=3, evaluate_every=2, save_every=1), 5)
    assert [done for done in range(16) if by_epoch.evaluates(done)] == [10, 15]
    assert [done for done in range(16) if by_epoch.saves(done)] == [5, 10, 15]
    assert by_epoch.epoch(5) == 1
    by_step = Schedule(train_config(iterations=7, save_every=3), 5)
    assert [done for done in range(8) if by_step.evaluates(done)] == [7]
    assert [done for done in range(8) if by_step.saves(done)] == [3, 6, 7]
    assert all(by_step.logs(done) for done in range(8))
    assert Schedule(DETECTRON2, 7330).row_steps == MAX_ROW_STEPS


@given(
    length=st.integers(1, 200),
    steps_per_epoch=st.integers(1, 50),
    unit=st.sampled_from(["epochs", "iterations"]),
    schedule=st.one_of(
        st.sampled_from(["cosine", "poly"]),
        st.sets(st.integers(1, 200), max_size=3).map(lambda steps: multi_step(*sorted(steps))),
    ),
    warmup=st.integers(0, 300),
)
def test_properties_of_every_schedule(
    length: int, steps_per_epoch: int, unit: str, schedule: str | dict[str, Any], warmup: int
) -> None:
    train_cfg = train_config(**{"epochs": None, unit: length}, schedule=schedule, warmup_iterations=warmup)
    timed = Schedule(train_cfg, steps_per_epoch)
    factors = [timed.factor(step) for step in range(timed.total)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[warmup:]
    assert all(late <= early for early, late in pairwise(after))
    assert timed.logs(timed.total)
    assert timed.evaluates(timed.total)
    assert timed.saves(timed.total)
    assert sum(timed.logs(done) for done in range(1, timed.total + 1)) <= max(2 * MAX_ROWS, timed.total / MAX_ROW_STEPS)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_optimizer_follows_the_schedule(optimizer: str) -> None:
    train_cfg = train_config(
        iterations=9, schedule=multi_step(4, 7), warmup_iterations=3, optimizer=optimizer, decay_norms=False
    )
    schedule = Schedule(train_cfg, 1)
    module = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    built = build_optimizer(module, train_cfg)
    scheduler = build_scheduler(built, schedule)
    for step in range(9):
        assert [group["lr"] for group in built.param_groups] == [schedule.lr(step)] * 2
        module(torch.ones(1, 2)).sum().backward()
        built.step()
        scheduler.step()


def test_weight_decay_of_norms_is_optional() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.SyncBatchNorm(4), nn.Linear(4, 2)
    )
    module[4].weight.requires_grad_(False)
    (only_group,) = parameter_groups(module, train_config(weight_decay=1e-4))
    assert only_group["weight_decay"] == 1e-4
    assert len(only_group["params"]) == 2 + 2 + 2 + 2 + 1  # type: ignore[arg-type]  # a list
    decayed, exempt = parameter_groups(module, train_config(weight_decay=1e-4, decay_norms=False))
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (1e-4, 0)
    assert [id(p) for p in decayed["params"]] == [  # type: ignore[attr-defined]
        id(module[0].weight),
        id(module[0].bias),
        id(module[4].bias),
    ]
    norms = [id(p) for n in (1, 2, 3) for p in module[n].parameters()]
    assert [id(p) for p in exempt["params"]] == norms  # type: ignore[attr-defined]


def test_sgd_follows_the_formula() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    module = nn.Module()
    module.weight = weight
    built = build_optimizer(module, train_config(lr=0.1, optimizer={"type": "sgd", "momentum": 0.9}, weight_decay=0.5))
    velocity, expected = 0.0, 1.0
    for gradient in (2.0, -1.0):
        weight.grad = torch.tensor([gradient])
        built.step()
        velocity = 0.9 * velocity + gradient + 0.5 * expected
        expected -= 0.1 * velocity
        assert weight.item() == pytest.approx(expected)


class Staged(nn.Module):
    """Model with a backbone of three stages, or with one inside an adapter."""

    def __init__(self, *, adapter: bool = False) -> None:
        super().__init__()
        backbone = nn.Sequential()
        backbone.add_module("stem", nn.Conv2d(3, 2, 1))
        backbone.add_module("pool", nn.MaxPool2d(2))
        backbone.add_module("c2", nn.Conv2d(2, 2, 1))
        backbone.add_module("c3", nn.BatchNorm2d(2))
        self.backbone = nn.Sequential(backbone) if adapter else backbone
        self.head = nn.Linear(2, 2)


@pytest.mark.parametrize("adapter", [False, True])
def test_layer_decay_lowers_the_learning_rate_from_stage_to_stage(adapter: bool) -> None:
    model = Staged(adapter=adapter)
    train_cfg = train_config(lr=0.1, layer_decay=0.5, decay_biases=False, weight_decay=0.01, schedule=multi_step(3))
    schedule = Schedule(train_cfg, 5)
    optimizer = build_optimizer(model, train_cfg)
    lr_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    stages = model.backbone[0] if adapter else model.backbone
    for module, lr in ((model.head, 0.1), (stages.c3, 0.05), (stages.c2, 0.025), (stages.stem, 0.0125)):
        assert {lr_of[id(p)] for p in module.parameters()} == {lr}
    assert len(lr_of) == len(list(model.parameters()))
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.01, 0.0}
    scheduler = build_scheduler(optimizer, schedule)
    for step in range(5):
        factor = schedule.factor(step)
        lrs = sorted({group["lr"] for group in optimizer.param_groups})
        assert lrs == pytest.approx([0.0125 * factor, 0.025 * factor, 0.05 * factor, 0.1 * factor])
        optimizer.step()
        scheduler.step()


def test_backbone_has_a_learning_rate_of_its_own() -> None:
    model = Staged(adapter=False)
    groups = parameter_groups(model, train_config(lr=0.1, backbone_lr=0.1))
    lr_of = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {lr_of[id(p)] for p in model.head.parameters()} == {0.1}
    assert {lr_of[id(p)] for p in model.backbone.parameters()} == {0.1 * 0.1}


STEMS = {
    "backbone.stem.0.conv.weight": 5,
    "backbone.c2.0.conv1.conv.weight": 4,
    "backbone.c4.0.conv1.conv.weight": 2,
    "backbone.c5.0.conv1.conv.weight": 1,
}
"""Parameter -> number of its stage, counted from the heads."""


def test_layer_decay_of_published_backbones_and_of_none() -> None:
    with torch.device("meta"):
        model = build_model(zoo.get("resnest50_imagenet.official"))
    depths = stage_depths(model)
    assert {name: depths[id(p)] for name, p in model.named_parameters() if name in STEMS} == STEMS
    assert id(model.fc.weight) not in depths
    with pytest.raises(UsageError, match=r"train\.layer_decay and .* need a model whose submodule 'backbone' has"):
        parameter_groups(nn.Linear(2, 2), train_config(layer_decay=0.5))
