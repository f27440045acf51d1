"""Module names of the ResNets that MSRA trained for ImageNet, as detectron2 publishes them (``MSRA/R-50.pkl``).

The names are those of Caffe2, as the logs of detectron2 trainings list them. They have no dots.
"""

MODULES = {
    "conv1": "backbone.stem.0.conv",
    "res_conv1_bn": "backbone.stem.0.norm",
    "res{stage}_{block}_branch1": "backbone.c{stage}.{block}.shortcut.conv",
    "res{stage}_{block}_branch1_bn": "backbone.c{stage}.{block}.shortcut.norm",
    "res{stage}_{block}_branch2a": "backbone.c{stage}.{block}.conv1.conv",
    "res{stage}_{block}_branch2a_bn": "backbone.c{stage}.{block}.conv1.norm",
    "res{stage}_{block}_branch2b": "backbone.c{stage}.{block}.conv2.conv",
    "res{stage}_{block}_branch2b_bn": "backbone.c{stage}.{block}.conv2.norm",
    "res{stage}_{block}_branch2c": "backbone.c{stage}.{block}.conv3.conv",
    "res{stage}_{block}_branch2c_bn": "backbone.c{stage}.{block}.conv3.norm",
}

ENDINGS = {
    "_bn_gamma": "_bn.weight",
    "_bn_beta": "_bn.bias",
    "_bn_running_mean": "_bn.running_mean",
    "_bn_running_var": "_bn.running_var",
    "_w": ".weight",
}
"""Ending of a key -> ending with a dot between module and tensor; the first match counts."""

DROPPED = {
    "conv1_b": "a norm follows; detectron2 drops it too",
    "fc1000_w": "classifier of ImageNet",
    "fc1000_b": "classifier of ImageNet",
}
