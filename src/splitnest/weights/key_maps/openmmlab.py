"""Module names of the ResNeSt backbone in checkpoints of mmdetection and mmsegmentation."""

BACKBONE = {
    "backbone.stem.0": "backbone.stem.0.conv",
    "backbone.stem.1": "backbone.stem.0.norm",
    "backbone.stem.3": "backbone.stem.1.conv",
    "backbone.stem.4": "backbone.stem.1.norm",
    "backbone.stem.6": "backbone.stem.2.conv",
    "backbone.stem.7": "backbone.stem.2.norm",
    "backbone.layer{stage}.{block}.conv1": "backbone.c{stage+1}.{block}.conv1.conv",
    "backbone.layer{stage}.{block}.bn1": "backbone.c{stage+1}.{block}.conv1.norm",
    "backbone.layer{stage}.{block}.conv2.conv": "backbone.c{stage+1}.{block}.conv2.conv",
    "backbone.layer{stage}.{block}.conv2.bn0": "backbone.c{stage+1}.{block}.conv2.norm",
    "backbone.layer{stage}.{block}.conv2.fc1": "backbone.c{stage+1}.{block}.conv2.fc1",
    "backbone.layer{stage}.{block}.conv2.bn1": "backbone.c{stage+1}.{block}.conv2.fc1_norm",
    "backbone.layer{stage}.{block}.conv2.fc2": "backbone.c{stage+1}.{block}.conv2.fc2",
    "backbone.layer{stage}.{block}.conv3": "backbone.c{stage+1}.{block}.conv3.conv",
    "backbone.layer{stage}.{block}.bn3": "backbone.c{stage+1}.{block}.conv3.norm",
    "backbone.layer{stage}.{block}.downsample.1": "backbone.c{stage+1}.{block}.shortcut.conv",
    "backbone.layer{stage}.{block}.downsample.2": "backbone.c{stage+1}.{block}.shortcut.norm",
}
