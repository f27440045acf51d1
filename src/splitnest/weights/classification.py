"""Key names of classification checkpoints; the official repository and timm use the same ones."""

STAGES = {"layer1": "c2", "layer2": "c3", "layer3": "c4", "layer4": "c5"}

BLOCK = {
    "conv1": "conv1.conv",
    "bn1": "conv1.norm",
    "conv2.conv": "conv2.conv",
    "conv2.bn0": "conv2.norm",
    "conv2.fc1": "conv2.fc1",
    "conv2.bn1": "conv2.fc1_norm",
    "conv2.fc2": "conv2.fc2",
    "conv3": "conv3.conv",
    "bn3": "conv3.norm",
    "downsample.1": "shortcut.conv",
    "downsample.2": "shortcut.norm",
}

MODULES = {
    "conv1.0": "backbone.stem.0.conv",
    "conv1.1": "backbone.stem.0.norm",
    "conv1.3": "backbone.stem.1.conv",
    "conv1.4": "backbone.stem.1.norm",
    "conv1.6": "backbone.stem.2.conv",
    "bn1": "backbone.stem.2.norm",
    "fc": "fc",
} | {
    f"{layer}.{{block}}.{source}": f"backbone.{stage}.{{block}}.{target}"
    for layer, stage in STAGES.items()
    for source, target in BLOCK.items()
}

DROPPED = {
    f"layer{{layer}}.{{block}}.{dropblock}.{buffer}": "the schedule of DropBlock, which acts in training only"
    for dropblock in ("dropblock1", "dropblock2", "dropblock3", "conv2.dropblock")
    for buffer in ("i", "drop_prob")
}
