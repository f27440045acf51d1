"""Module names of classification checkpoints of the official ResNeSt repository and of timm, which are the same."""

MODULES = {
    "conv1.0": "backbone.stem.0.conv",
    "conv1.1": "backbone.stem.0.norm",
    "conv1.3": "backbone.stem.1.conv",
    "conv1.4": "backbone.stem.1.norm",
    "conv1.6": "backbone.stem.2.conv",
    "bn1": "backbone.stem.2.norm",
    "layer{stage}.{block}.conv1": "backbone.c{stage+1}.{block}.conv1.conv",
    "layer{stage}.{block}.bn1": "backbone.c{stage+1}.{block}.conv1.norm",
    "layer{stage}.{block}.conv2.conv": "backbone.c{stage+1}.{block}.conv2.conv",
    "layer{stage}.{block}.conv2.bn0": "backbone.c{stage+1}.{block}.conv2.norm",
    "layer{stage}.{block}.conv2.fc1": "backbone.c{stage+1}.{block}.conv2.fc1",
    "layer{stage}.{block}.conv2.bn1": "backbone.c{stage+1}.{block}.conv2.fc1_norm",
    "layer{stage}.{block}.conv2.fc2": "backbone.c{stage+1}.{block}.conv2.fc2",
    "layer{stage}.{block}.conv3": "backbone.c{stage+1}.{block}.conv3.conv",
    "layer{stage}.{block}.bn3": "backbone.c{stage+1}.{block}.conv3.norm",
    "layer{stage}.{block}.downsample.1": "backbone.c{stage+1}.{block}.shortcut.conv",
    "layer{stage}.{block}.downsample.2": "backbone.c{stage+1}.{block}.shortcut.norm",
    "fc": "fc",
}

DROPPED = {
    "layer{stage}.{block}.dropblock{n}.i": "schedule of DropBlock, which acts in training only",
    "layer{stage}.{block}.dropblock{n}.drop_prob": "schedule of DropBlock, which acts in training only",
    "layer{stage}.{block}.conv2.dropblock.i": "schedule of DropBlock, which acts in training only",
    "layer{stage}.{block}.conv2.dropblock.drop_prob": "schedule of DropBlock, which acts in training only",
}
