"""Names of recipe keys and options in other frameworks and in earlier versions."""

from collections.abc import Collection

OPTION = "the option --"

ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr", "learning_rate", "lr0", "base_lr", "max_lr"), ("train.lr",)),
    **dict.fromkeys(("epochs", "epoch", "max_epochs", "num_epochs", "length"), ("train.epochs",)),
    **dict.fromkeys(
        ("iterations", "iters", "max_iter", "max_iters", "num_iters", "steps", "max_steps"), ("train.iterations",)
    ),
    **dict.fromkeys(
        ("batch", "batch_size", "bs", "ims_per_batch", "samples_per_gpu", "train_batch_size"), ("train.batch_size",)
    ),
    **dict.fromkeys(
        ("imgsz", "img_size", "image_size", "img_scale", "size", "resolution", "input_size", "min_size_test"),
        ("input.size", "input.short_side", "input.height"),
    ),
    **dict.fromkeys(("workers", "num_workers", "workers_per_gpu"), ("train.workers",)),
    **dict.fromkeys(
        ("start", "load_from", "pretrained", "init_checkpoint", "init_from", "finetune"), ("train.init_from",)
    ),
    **dict.fromkeys(
        ("classes", "names", "class_names", "num_classes", "nc", "thing_classes", "metainfo"), ("data.classes",)
    ),
    **dict.fromkeys(("root", "data_root", "path", "dataset", "data_dir", "data_path"), ("data.root",)),
    **dict.fromkeys(("train_ann", "train_json", "ann_file"), ("data.train_annotations",)),
    **dict.fromkeys(("val_ann", "val_json"), ("data.val_annotations",)),
    **dict.fromkeys(("train_dir", "train_path"), ("data.train_images",)),
    **dict.fromkeys(("val_dir", "val_path"), ("data.val_images",)),
    **dict.fromkeys(("optim", "opt"), ("train.optimizer",)),
    **dict.fromkeys(("wd", "decay"), ("train.weight_decay",)),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_config", "param_scheduler"), ("train.schedule",)),
    **dict.fromkeys(("warmup", "warmup_iters", "warmup_steps"), ("train.warmup_iterations", "train.warmup_epochs")),
    **dict.fromkeys(("amp", "fp16", "half", "mixed_precision"), ("train.precision",)),
    **dict.fromkeys(("ema", "model_ema"), ("train.ema_decay",)),
    **dict.fromkeys(("grad_clip", "clip_grad", "max_norm"), ("train.clip_grad_norm",)),
    **dict.fromkeys(("random_seed", "manual_seed"), ("train.seed",)),
    **dict.fromkeys(("eval_period", "val_interval", "evaluation_interval"), ("train.evaluate_every",)),
    **dict.fromkeys(("save_period", "checkpoint_period", "checkpoint_interval"), ("train.save_every",)),
    **dict.fromkeys(("early_stopping", "early_stopping_patience"), ("train.patience",)),
    **dict.fromkeys(("min_delta",), ("train.min_gain",)),
    **dict.fromkeys(("save_best", "monitor", "metric_for_best_model"), ("train.best_by",)),
    **dict.fromkeys(("class_weight", "loss_weight_per_class"), ("train.class_weights",)),
    **dict.fromkeys(("oversample_thr", "repeat_factor_threshold"), ("train.repeat_threshold",)),
    **dict.fromkeys(("num_sample_class", "class_aware_sampler"), ("train.class_aware_samples",)),
    **dict.fromkeys(("decay_rate", "layer_decay_rate", "llrd"), ("train.layer_decay",)),
    **dict.fromkeys(("with_cp", "gradient_checkpointing", "grad_checkpointing"), ("train.checkpoint_stages",)),
    **dict.fromkeys(("logger", "vis_backends", "report_to"), ("train.loggers",)),
    **dict.fromkeys(("freeze", "freeze_at", "frozen"), ("model.backbone.frozen_stages",)),
    **dict.fromkeys(("depth", "backbone_depth"), ("model.backbone.depth",)),
    **dict.fromkeys(("unit",), ("train.epochs", "train.iterations")),
    "train_candidates": ("model.rpn_pre_nms_topk",),
    "train_proposals": ("model.rpn_post_nms_topk",),
    **dict.fromkeys(("gpu", "gpus", "device", "cuda", "gpu_ids"), (OPTION + "device",)),
    **dict.fromkeys(("devices", "num_gpus", "nproc_per_node", "world_size"), (OPTION + "devices",)),
    **dict.fromkeys(("out", "output", "output_dir", "work_dir", "project", "save_dir"), (OPTION + "out",)),
    **dict.fromkeys(
        ("conf", "conf_thres", "confidence", "threshold", "score_thr", "score_threshold", "min_score"),
        (OPTION + "score",),
    ),
    "resume": (OPTION + "resume",),
}
"""Last part of a key in other frameworks or earlier versions -> keys here, of which those that a task has are named, or
an option of the command line.
"""


def known_as(key: str, keys: Collection[str]) -> list[str]:
    """Return what a key of another framework is here, or what has its last part: keys of ``keys``, or an option.

    Args:
        key: Unknown key.
        keys: Known keys.
    """
    last = key.rpartition(".")[2].lower().replace("-", "_")
    aliases = [alias for alias in ALIASES.get(last, ()) if alias in keys or alias.startswith(OPTION)]
    return aliases or [known for known in keys if known.rpartition(".")[2] == last][:3]
