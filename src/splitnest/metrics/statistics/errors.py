"""Names of metrics that are errors: less is better."""

VAL_LOSS = "val_loss"
"""Beginning of the names of losses on the validation dataset."""

NME, EPE = "nme", "epe"
"""Normalized mean error, and mean distance in pixels."""


def is_error(name: str) -> bool:
    """Return whether less of a metric is better: losses, NME and EPE."""
    return name.startswith(VAL_LOSS) or name in (NME, EPE)


def is_fraction(name: str) -> bool:
    """Return whether a metric is from 0 to 1, and shown in percent, unlike losses and EPE."""
    return not name.startswith(VAL_LOSS) and name != EPE
