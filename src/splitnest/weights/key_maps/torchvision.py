"""Module names in torchvision's classifiers, and in the backbones that OpenMMLab publishes alone."""

from splitnest.weights.key_maps import openmmlab

_BACKBONE = openmmlab.BLOCKS | openmmlab.STEM | openmmlab.DEEP_STEM | openmmlab.PLAIN_SHORTCUTS

MODULES = {source.removeprefix("backbone."): target for source, target in _BACKBONE.items()} | {"fc": "fc"}

HRNET = {source.removeprefix("backbone."): target for source, target in openmmlab.HRNET.items()}
"""HRNets without a network around them: their own repository's and OpenMMLab's."""

DROPPED: dict[str, str] = {}

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_CLASSIFIER = {
    **{f"incre_modules.{{branch}}.{{block}}.conv{n}": ("weight",) for n in (1, 2, 3)},
    **{f"incre_modules.{{branch}}.{{block}}.bn{n}": _NORM for n in (1, 2, 3)},
    **{
        "incre_modules.{branch}.{block}.downsample.0": ("weight",),
        "incre_modules.{branch}.{block}.downsample.1": _NORM,
    },
    **{"downsamp_modules.{branch}.0": ("weight", "bias"), "downsamp_modules.{branch}.1": _NORM},
    **{"final_layer.0": ("weight", "bias"), "final_layer.1": _NORM, "classifier": ("weight", "bias")},
}

HRNET_DROPPED = {
    f"{module}.{leaf}": "layer of HRNet's classifier, not of its backbone"
    for module, leaves in _CLASSIFIER.items()
    for leaf in leaves
}
