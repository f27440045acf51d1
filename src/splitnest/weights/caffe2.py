"""Key names of the ResNets that MSRA trained for ImageNet, as detectron2 publishes them (``MSRA/R-50.pkl``).

They are Caffe2's, as the logs of detectron2's trainings list them.
"""

STAGES = {"res2": "c2", "res3": "c3", "res4": "c4", "res5": "c5"}
BRANCHES = {"branch1": "shortcut", "branch2a": "conv1", "branch2b": "conv2", "branch2c": "conv3"}

MODULES = {"conv1": "backbone.stem.0.conv", "res_conv1_bn": "backbone.stem.0.norm"} | {
    f"{source_stage}_{{block}}_{branch}{source}": f"backbone.{target_stage}.{{block}}.{part}.{target}"
    for source_stage, target_stage in STAGES.items()
    for branch, part in BRANCHES.items()
    for source, target in {"": "conv", "_bn": "norm"}.items()
}

LEAVES = {
    "_bn_gamma": "_bn.weight",
    "_bn_beta": "_bn.bias",
    "_bn_running_mean": "_bn.running_mean",
    "_bn_running_var": "_bn.running_var",
    "_w": ".weight",
}
"""How keys end -> module and tensor; the first that fits counts."""

DROPPED = {
    "conv1_b": "detectron2 leaves it out, too: a norm follows",
    "fc1000_w": "the classifier of ImageNet",
    "fc1000_b": "the classifier of ImageNet",
}
