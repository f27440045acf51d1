"""Names that wrappers of a network add to the keys of its state dict."""

from collections.abc import Sequence

PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", "ema_model.")
"""Prefixes that all keys have: DataParallel and DDP; Lightning and other trainers; ``torch.compile``; EMA copies."""

INNER = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module", "_forward_module"})
"""Modules that wrappers of a part of a network insert anywhere in a name: ``torch.compile``, FSDP, FairScale,
activation checkpointing, Lightning Fabric."""

COUNTER = "n_averaged"
"""Key of ``torch.optim.swa_utils.AveragedModel`` beside the network."""


def ema_copies(keys: Sequence[str]) -> list[str]:
    """Return the keys that an EMA keeps beside the weights: its counter, and the buffers of mmcv's ``EMAHook``.

    The hook swaps its buffers and the weights before a checkpoint is saved, so the weights are the average.
    """
    buffers = {f"ema_{key.replace('.', '_')}" for key in keys}
    copies = [key for key in keys if key in buffers or key == COUNTER]
    return copies if len(copies) < len(keys) else []


def unwrapped_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return each key of a state dict without the names of wrappers, in any combination.

    Keys stay as they are where they would not be unique.
    """
    names = {key: ".".join(part for part in key.split(".") if part not in INNER) for key in keys}
    own = [key for key in keys if key != COUNTER]
    while prefix := next((p for p in PREFIXES if own and all(names[key].startswith(p) for key in own)), None):
        for key in own:
            names[key] = names[key].removeprefix(prefix)
    return names if len(set(names.values())) == len(names) else dict(zip(keys, keys, strict=True))
