"""Configurations and checkpoints of detectron2's model zoo, by the name of the configuration."""

from pathlib import Path

from splitnest.compat.detectron2.config import CfgNode, get_cfg
from splitnest.errors import UsageError
from splitnest.zoo import upstream

CONFIGS = Path(__file__).with_name("configs")
"""Configurations of the published models of the family, written by ``tools/detectron2_configs.py``."""


def get_config_file(config_path: str) -> str:
    """Return the path of a configuration.

    Args:
        config_path: Name, such as ``"COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"``.

    Raises:
        UsageError: The model is none of the family.
    """
    _row(config_path)
    return str(CONFIGS / config_path)


def get_checkpoint_url(config_path: str) -> str:
    """Return the address of the checkpoint of a configuration.

    Args:
        config_path: Same as in ``get_config_file``.

    Raises:
        UsageError: The model is none of the family.
    """
    return _row(config_path).published.url


def get_config(config_path: str, trained: bool = False) -> CfgNode:
    """Return a configuration.

    Args:
        config_path: Same as in ``get_config_file``.
        trained: Whether ``MODEL.WEIGHTS`` is the published checkpoint; otherwise it is that which training starts from.

    Raises:
        UsageError: The model is none of the family.
    """
    cfg = get_cfg()
    cfg.merge_from_file(get_config_file(config_path))
    if trained:
        cfg.MODEL.WEIGHTS = get_checkpoint_url(config_path)
    return cfg


def _row(config_path: str) -> upstream.UpstreamRow:
    for name, row in upstream.ROWS.items():
        if name.endswith(".detectron2") and row.config == f"configs/{config_path}":
            return row
    raise UsageError(f"detectron2's model zoo has no {config_path} that splitnest can build. See 'splitnest list'.")
