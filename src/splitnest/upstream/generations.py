"""Older OpenMMLab configurations in the form of the current ones (mmdet 2, mmseg 0 and mmpose 0; before mmengine)."""

from collections.abc import Mapping
from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.limits import MAX_DEPTH
from splitnest.upstream.section import shown

Values = dict[str, Any]

_LOADERS = ("train", "val", "test")
_SIZES = {"samples_per_gpu": "batch_size", "workers_per_gpu": "num_workers"}


def modernized(config: Mapping[str, Any], origin: str) -> Values:
    """Return an OpenMMLab configuration in the form of mmengine; one that has it is returned as it is.

    The old form has pixel statistics in the test pipeline, ``train_cfg`` and ``test_cfg`` of early models at the top
    level, ``data`` instead of data loaders, and ``optimizer``, ``lr_config`` and ``runner`` of mmcv.

    Args:
        config: Values of the configuration, which is not changed.
        origin: Name of the configuration in messages.

    Raises:
        UsageError: A part of an old configuration has another type than it should.
    """
    values = dict(config)
    model = _mapping(values, "model", origin)
    data = _mapping(values, "data", origin)
    pipeline = _pipeline_of(values, data, "test", origin)
    is_old = bool(data) or any(step.get("type") in _OLD_STEPS for step in pipeline)
    if not is_old:
        return values
    model = {
        **{key: values.pop(key) for key in ("train_cfg", "test_cfg") if isinstance(values.get(key), dict)},
        **model,
    }
    steps, statistics = _statistics(_flattened(pipeline, origin))
    model.setdefault("data_preprocessor", statistics)
    values |= {"model": model, "test_pipeline": steps}
    values |= {"train_pipeline": _statistics(_pipeline_of(values, data, "train", origin))[0]}
    values |= _loaders(data, origin)
    return values | _schedule(values, origin)


_OLD_STEPS = ("MultiScaleFlipAug", "Normalize", "NormalizeTensor", "Collect", "ToTensor", "DefaultFormatBundle")


def _mapping(values: Mapping[str, Any], key: str, origin: str) -> Values:
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{origin}: {key} is {shown(value)}: give a mapping.")
    return value


def _steps(value: Any, origin: str) -> list[Values]:
    if not isinstance(value, list | tuple) or not all(isinstance(step, dict) for step in value):
        raise UsageError(f"{origin}: a pipeline should be a list of mappings, not {shown(value)}.")
    return list(value)


def _pipeline_of(values: Values, data: Values, split: str, origin: str) -> list[Values]:
    """Return the pipeline of a split: in its dataset, in a dataset that it repeats, or at the top level."""
    dataset = data.get(split)
    for _ in range(5):
        if isinstance(dataset, list | tuple):
            dataset = dataset[0] if dataset else None
        if not isinstance(dataset, dict):
            break
        if "pipeline" in dataset:
            return _steps(dataset["pipeline"], origin)
        dataset = dataset.get("dataset")
    for key in (f"{split}_pipeline", "val_pipeline") if split == "test" else (f"{split}_pipeline",):
        if key in values:
            return _steps(values[key], origin)
    return []


def _flattened(steps: list[Values], origin: str) -> list[Values]:
    """Return a test pipeline with the steps of ``MultiScaleFlipAug`` in place of it, for its first scale unflipped."""
    flat: list[Values] = []
    for step in steps:
        if step.get("type") != "MultiScaleFlipAug":
            flat.append(step)
            continue
        inner = _steps(step.get("transforms", ()), origin)
        scale, ratios = step.get("img_scale"), step.get("img_ratios")
        if isinstance(scale, list) and len(scale) == 1:
            scale = scale[0]
        several = isinstance(scale, list) and bool(scale) and isinstance(scale[0], list | tuple)
        if ratios not in (None, 1.0, [1.0]) or several or step.get("flip", False):
            raise UsageError(
                f"{origin}: MultiScaleFlipAug has several scales or flips, which is test-time augmentation. Give the "
                f"pipeline of a single view."
            )
        flat += [_scaled(one, scale) for one in inner]
    return flat


def _scaled(step: Values, scale: Any) -> Values:
    if step.get("type") != "Resize":
        return step
    return {"keep_ratio": True, **step, **({} if scale is None else {"scale": scale})}


def _statistics(steps: list[Values]) -> tuple[list[Values], Values]:
    """Return a pipeline without normalization and padding, and both as a data preprocessor."""
    kept: list[Values] = []
    found: Values = {}
    for step in steps:
        kind = step.get("type")
        if kind == "Normalize":
            found |= {"mean": step.get("mean"), "std": step.get("std"), "bgr_to_rgb": step.get("to_rgb", True)}
        elif kind == "NormalizeTensor":
            for key in ("mean", "std"):
                values = step.get(key)
                values = values if isinstance(values, list | tuple) else ()
                found[key] = [round(255 * value, 6) for value in values if isinstance(value, int | float)]
            found["bgr_to_rgb"] = True  # LoadImageFromFile of mmpose 0 reads RGB
        elif kind == "Pad" and "size_divisor" in step:
            found["pad_size_divisor"] = step["size_divisor"]
        else:
            kept.append({("scale" if key == "img_scale" else key): value for key, value in step.items()})
    return kept, found


def _loaders(data: Values, origin: str) -> Values:
    """Return the data loaders of ``data``; ``test`` describes the dataset that ``val`` does in older files."""
    loaders: Values = {}
    sizes = {new: data[old] for old, new in _SIZES.items() if old in data}
    for split in _LOADERS:
        if isinstance(data.get(split), dict):
            loaders[f"{split}_dataloader"] = {**sizes, "dataset": _filtered(data[split])}
        elif isinstance(data.get(split), list | tuple):
            loaders[f"{split}_dataloader"] = {**sizes, "dataset": {"type": "ConcatDataset", "datasets": data[split]}}
    return loaders


def _filtered(dataset: Values, depth: int = 0) -> Values:
    """Return a dataset without its pipeline, and with the filters that mmdet 2 has by default.

    The filters are those of the innermost one of datasets that repeat another.
    """
    inner = dataset.get("dataset")
    if isinstance(inner, dict) and depth < MAX_DEPTH:
        return {**dataset, "dataset": _filtered(inner, depth + 1)}
    filters = {"filter_empty_gt": dataset.get("filter_empty_gt", True), "min_size": 32}
    return {"filter_cfg": filters, **{key: value for key, value in dataset.items() if key != "pipeline"}}


def _schedule(values: Values, origin: str) -> Values:
    """Return optimizer, schedule and length of the training."""
    optimizer_config, lr_config = (_mapping(values, key, origin) for key in ("optimizer_config", "lr_config"))
    runner = _mapping(values, "runner", origin)
    epochs = runner.get("max_epochs", values.get("total_epochs"))
    iterations = runner.get("max_iters", values.get("total_iters"))
    evaluation = _mapping(values, "evaluation", origin)
    optimizer = _mapping(values, "optimizer", origin)
    if not optimizer or (epochs is None and iterations is None):
        return {"optim_wrapper": None, "param_scheduler": None, "train_cfg": None}
    paramwise = optimizer.get("paramwise_cfg")
    optimizer = {key: value for key, value in optimizer.items() if key != "paramwise_cfg"}
    by_epoch = epochs is not None
    length = {"max_epochs": epochs} if by_epoch else {"max_iters": iterations}
    return {
        "optim_wrapper": {
            **{"type": "OptimWrapper", "optimizer": optimizer, "paramwise_cfg": paramwise},
            "clip_grad": optimizer_config.get("grad_clip"),
        },
        "param_scheduler": _schedulers(lr_config, by_epoch, epochs if by_epoch else iterations),
        "train_cfg": {**length, "by_epoch": by_epoch, "val_interval": evaluation.get("interval")},
    }


def _schedulers(lr_config: Values, by_epoch: bool, length: Any) -> list[Values]:
    schedulers: list[Values] = []
    if lr_config.get("warmup") is not None:
        warmup = {"type": "LinearLR" if lr_config["warmup"] == "linear" else f"warmup {lr_config['warmup']}"}
        warmup |= {"start_factor": lr_config.get("warmup_ratio", 0.1), "end": lr_config.get("warmup_iters", 0)}
        schedulers.append({**warmup, "begin": 0, "by_epoch": bool(lr_config.get("warmup_by_epoch", False))})
    policy = str(lr_config.get("policy", "fixed")).lower()
    main: Values = {"begin": 0, "end": length, "by_epoch": lr_config.get("by_epoch", by_epoch)}
    if policy == "step":
        step = lr_config.get("step")
        main |= {"type": "MultiStepLR", "milestones": step, "gamma": lr_config.get("gamma", 0.1)}
    elif policy == "poly":
        main |= {"type": "PolyLR", "power": lr_config.get("power", 1.0), "eta_min": lr_config.get("min_lr", 0.0)}
    else:
        main |= {"type": policy}
    return [*schedulers, main]
