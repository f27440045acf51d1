"""Training section of a recipe from an OpenMMLab configuration: optimizer, schedule, batch size, augmentation."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import REQUIRED, Section

_OPTIMIZERS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw"}

_PROCESSES = {"mmdet": 8, "mmseg": 4, "mmpose": 8}
"""Number of GPUs that the published configurations are meant for."""

_REPEATING = {"RepeatDataset": "times"}


def common(config: Section, framework: str) -> dict[str, Any]:
    """Return length, optimizer, schedule and batch size.

    Args:
        config: Configuration in the form of mmengine.
        framework: Code base, ``mmdet``, ``mmseg`` or ``mmpose``.

    Raises:
        UsageError: A part is missing, or splitnest has not got it.
    """
    if config.raw("optim_wrapper") is None:
        raise UsageError("the configuration has none")
    loop = config.section("train_cfg")
    fields, repeats = _length(loop, config, framework)
    fields |= _optimizer(config.section("optim_wrapper"), fields, framework)
    fields |= _schedule(config.sections("param_scheduler"), "epochs" in fields, repeats)
    fields |= {"batch_size": _batch_size(config, framework)}
    interval = loop.integer("val_interval", None)
    if interval is not None:
        interval *= repeats
        fields |= {"evaluate_every": interval, "save_every": interval}
    return fields


def _length(loop: Section, config: Section, framework: str) -> tuple[dict[str, Any], int]:
    """Return the length of the training, and how often an epoch repeats the dataset."""
    dataset = config.section("train_dataloader", {}).section("dataset", {})
    repeats = 1
    for _ in range(4):
        kind = dataset.text("type", "")
        if kind not in _REPEATING:
            break
        repeats *= dataset.integer("times")
        inner = dataset.section("dataset", None)
        if inner is None:
            break
        dataset = inner
    if framework != "mmdet" and dataset.text("type", "") == "MultiImageMixDataset":
        raise UsageError("the training has MultiImageMixDataset; splitnest has no such dataset")
    epochs, iterations = loop.integer("max_epochs", None), loop.integer("max_iters", None)
    if epochs is not None:
        return {"epochs": epochs * repeats}, repeats
    if iterations is None:
        raise UsageError("there is no length of the training")
    return {"iterations": iterations}, 1


def _optimizer(wrapper: Section, fields: dict[str, Any], framework: str) -> dict[str, Any]:
    kind = wrapper.only("type", "OptimWrapper", "AmpOptimWrapper")
    optimizer = wrapper.section("optimizer")
    name = optimizer.only("type", *_OPTIMIZERS)
    result: dict[str, Any] = {
        "optimizer": {"type": _OPTIMIZERS[name]},
        "lr": optimizer.number("lr"),
        "weight_decay": optimizer.number("weight_decay", 0.01 if name == "AdamW" else 0.0),
    }
    if name == "SGD":
        result["optimizer"] |= {"momentum": optimizer.number("momentum", 0.0)}
        result["optimizer"] |= {"nesterov": optimizer.flag("nesterov", False)}
    else:
        optimizer.only("betas", (0.9, 0.999))
    optimizer.only("eps", 1e-8)
    optimizer.close()
    if kind == "AmpOptimWrapper":
        result["precision"] = "fp16"
        wrapper.skip("loss_scale", "dtype")
    clip = wrapper.section("clip_grad", None)
    if clip is not None:
        result["clip_grad_norm"] = clip.number("max_norm")
        clip.only("norm_type", 2)
        clip.close()
    wrapper.only("accumulative_counts", 1)
    paramwise = wrapper.section("paramwise_cfg", None)
    if paramwise is not None:
        result["decay_norms"] = paramwise.only("norm_decay_mult", 1.0, 0.0) != 0
        result["decay_biases"] = paramwise.only("bias_decay_mult", 1.0, 0.0) != 0
        paramwise.skip("bypass_duplicate")
        result["backbone_lr"] = _backbone_lr(paramwise.section("custom_keys", {}))
        paramwise.close()
    wrapper.close()
    return result


def _backbone_lr(custom_keys: Section) -> float:
    """Return the factor of the backbone's learning rate, the only one that splitnest has."""
    backbone = custom_keys.section("backbone", {})
    factor: float = backbone.number("lr_mult", 1.0)
    backbone.only("decay_mult", 1.0)
    backbone.close()
    custom_keys.close()
    return factor


def _schedule(schedulers: list[Section], by_epoch: bool, repeats: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"schedule": {"type": "multi_step"}, "warmup_iterations": 0}
    for scheduler in schedulers:
        kind = scheduler.text("type")
        if kind == "LinearLR":
            scheduler.only("by_epoch", False)
            scheduler.only("begin", 0)
            scheduler.only("end_factor", 1.0)
            fields |= {"warmup_iterations": scheduler.integer("end")}
            fields |= {"warmup_factor": scheduler.number("start_factor")}
        elif kind in ("MultiStepLR", "PolyLR"):
            if scheduler.flag("by_epoch", by_epoch) != by_epoch:
                raise scheduler.error("by_epoch", "splitnest counts schedule and length in the same unit")
            fields["schedule"] = _main(scheduler, kind, repeats if by_epoch else 1)
        else:
            raise UsageError(f"{scheduler.where}: the schedule is {kind}; splitnest has no such schedule")
        scheduler.skip("begin", "end", "by_epoch", "verbose")
        scheduler.close()
    return fields


def _main(scheduler: Section, kind: str, repeats: int) -> dict[str, Any]:
    if kind == "PolyLR":
        power, min_lr = scheduler.number("power", 1.0), scheduler.number("eta_min", 0.0)
        return {"type": "poly", "power": power, "min_lr": min_lr}
    milestones = scheduler.integers("milestones", REQUIRED) if scheduler.is_list("milestones") else None
    if milestones is None:
        milestones = (scheduler.integer("milestones"),)
    return {
        "type": "multi_step",
        "milestones": tuple(milestone * repeats for milestone in milestones),
        "gamma": scheduler.number("gamma", 0.1),
    }


def _batch_size(config: Section, framework: str) -> int:
    scale = config.section("auto_scale_lr", None)
    if scale is not None and "base_batch_size" in scale:
        return int(scale.integer("base_batch_size"))
    loader = config.section("train_dataloader", {})
    return int(loader.integer("batch_size", 2)) * _PROCESSES[framework]
