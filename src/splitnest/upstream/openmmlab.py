"""Recipes of OpenMMLab configurations: mmdetection, mmsegmentation and mmpose, both generations."""

from collections.abc import Callable, Mapping
from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream import mmdet_training, mmpose_evaluation, mmpose_training, mmseg_training
from splitnest.upstream.classes import Classes, detection_classes, names_of, semantic_classes
from splitnest.upstream.content import Content, Fields, Metadata
from splitnest.upstream.datasets import dataset, detection_data, pose_data, semantic_data
from splitnest.upstream.generations import modernized
from splitnest.upstream.keypoints import keypoints
from splitnest.upstream.mmdet import DETECTORS, detection_input, detector
from splitnest.upstream.mmpose import ESTIMATORS, estimator, pose_input
from splitnest.upstream.mmseg import SEGMENTORS, segmentor, semantic_input
from splitnest.upstream.pretrained import initial_weights
from splitnest.upstream.section import REQUIRED, Section


def content(values: Mapping[str, Any], metadata: Metadata, origin: str) -> Content:
    """Return the content of a recipe.

    Args:
        values: Values of a configuration.
        metadata: Metadata of the checkpoint, which says more than the configuration.
        origin: Name of the configuration in messages.

    Raises:
        UsageError: The model is none of the family, or a value is not valid.
    """
    if "model" not in values and "upstream_model" in values:
        values = {**values, "model": values["upstream_model"]}
    config = Section(modernized(values, origin), origin)
    model = config.section("model", REQUIRED)
    kind = model.text("type")
    derive = next((derive for kinds, derive in _KINDS.items() if kind in kinds), None)
    if derive is None:
        raise UsageError(f"{origin}: this is a {kind}; splitnest has no such head.")
    return derive(config, model, metadata)


def _preprocessor(config: Section, model: Section) -> Section:
    own = model.section("data_preprocessor", None)
    return own if own is not None else config.section("data_preprocessor", {})


def _pipeline(config: Section) -> list[Section]:
    """Return the steps of the test pipeline: of the test dataset, or of the top level."""
    steps = dataset(config, "test").sections("pipeline")
    for key in ("test_pipeline", "val_pipeline"):
        steps = steps or config.sections(key)
    return steps


def _names(config: Section, metadata: Metadata) -> tuple[Any, Any]:
    """Return class names and palette of the checkpoint, or of the test dataset."""
    test = dataset(config, "test")
    info = test.section("metainfo", {}) if isinstance(test.raw("metainfo"), dict) else Section({}, "")
    known = metadata.classes or info.raw("classes", info.raw("CLASSES", test.raw("classes")))
    palette = metadata.palette or info.raw("palette", info.raw("PALETTE", test.raw("palette")))
    return names_of(known, config.where), palette


def _detection(config: Section, model: Section, metadata: Metadata) -> Content:
    network, num_classes = detector(model)
    inputs = detection_input(_preprocessor(config, model), _pipeline(config), config.where)
    names, _ = _names(config, metadata)
    classes = detection_classes(names, _dataset_type(config), num_classes, config.where)
    training, notes = _training(mmdet_training.detection, config)
    losses, remarks = _training(mmdet_training.losses, model)
    fields = {
        "task": "instance" if network["mask_convs"] else "detection",
        "data": {"classes": classes.classes, **detection_data(config, classes.classes == "coco")},
        "model": {**network, **(losses or {})},
        "input": inputs,
        "train": _with_weights(training, model) if losses is not None else None,
    }
    return Content(fields, "mmdet", (*_notes(classes), *(remarks or notes)))


def _with_weights(training: Fields | None, model: Section) -> Fields | None:
    """Return a training section with the initial weights of the backbone, if it names any."""
    if training is None:
        return None
    network, name = model.section("backbone"), model.raw("pretrained")
    if not network.is_list("init_cfg"):
        name = network.section("init_cfg", {}).raw("checkpoint", name)
    return {**training, "init_from": initial_weights(name)}


def _training(derive: Callable[..., Fields], *arguments: Section) -> tuple[Fields | None, tuple[str, ...]]:
    """Return what ``derive`` does, and a note if it cannot: the training is left out then."""
    try:
        return derive(*arguments), ()
    except UsageError as error:
        return None, (f"training is not derived: {str(error).rstrip('.')}",)


def _dataset_type(config: Section) -> str | None:
    name: str | None = dataset(config, "test").text(
        "type", config.text("test_dataset", config.text("dataset_type", None))
    )
    return name


def _notes(classes: Classes) -> tuple[str, ...]:
    return () if classes.note is None else (classes.note,)


def _semantic(config: Section, model: Section, metadata: Metadata) -> Content:
    network, num_classes = segmentor(model)
    inputs = semantic_input(model, _preprocessor(config, model), _pipeline(config), config.where)
    names, palette = _names(config, metadata)
    kind = _dataset_type(config)
    reduces = _reduces_zero_label(config, kind)
    classes = semantic_classes(names, palette, kind, reduces, num_classes, config.where)
    data = {"classes": classes.classes, **semantic_data(config, classes.classes, reduces)}
    if classes.palette is not None:
        data["palette"] = classes.palette
    training, notes = _training(mmseg_training.semantic, config, model)
    fields: Fields = {"task": "semantic", "data": data, "model": network, "input": inputs}
    fields["train"] = _with_weights(training, model)
    return Content(fields, "mmseg", (*_notes(classes), *notes))


_REDUCING = ("ADE20KDataset", "PascalContextDataset59", "LoveDADataset", "PotsdamDataset", "ISPRSDataset")
"""Datasets of mmsegmentation whose label maps have 0 for unlabeled pixels without being told so."""


def _reduces_zero_label(config: Section, kind: str | None) -> bool:
    test = dataset(config, "test")
    told = test.raw("reduce_zero_label")
    for step in _pipeline(config):
        if step.text("type", "") == "LoadAnnotations":
            told = step.raw("reduce_zero_label", told)
    return bool(told) if told is not None else kind in _REDUCING


def _pose(config: Section, model: Section, metadata: Metadata) -> Content:
    codec = config.section("codec", None) if not config.is_list("codec") else None
    network, num_keypoints = estimator(model, codec)
    pipeline = _pipeline(config)
    if "sigma" not in network:
        network |= _old_targets(config, model)
    inputs = pose_input(model, _preprocessor(config, model), pipeline, network)
    test = dataset(config, "test")
    info = metadata.dataset or test.raw("metainfo", {}) or {}
    if "keypoint_info" not in info and isinstance(
        given := test.raw("dataset_info", config.raw("dataset_info")), Mapping
    ):
        info = info or given
    found = keypoints(info, _dataset_type(config), test.text("subset", None), num_keypoints, config.where)
    notes = [] if found.note is None else [found.note]
    if inputs["flip_test"] and not found.has_flips:
        inputs["flip_test"] = False
        notes.append("flip test: off, as the pairs of keypoints that a flip swaps are unknown")
    training, remarks = _training(mmpose_training.pose, config, model)
    classes = _pose_classes(metadata, found.keypoints, config.where)
    metrics = _metrics(config, found.keypoints, notes)
    is_coco = found.keypoints == "coco" and (_dataset_type(config) or "").endswith("CocoDataset")
    fields = {
        "task": "pose",
        "data": {
            "classes": classes,
            "keypoints": found.keypoints,
            **pose_data(config, is_coco),
        },
        "model": network,
        "input": inputs,
        "evaluation": metrics,
        "train": _with_weights(training, model),
    }
    return Content(fields, "mmpose", (*notes, *remarks))


def _metrics(config: Section, keypoints: Any, notes: list[str]) -> Fields | None:
    """Return the metrics of an estimator; those that cannot be read are noted, and the published ones are taken."""
    try:
        metrics, remarks = mmpose_evaluation.evaluation(config, keypoints)
    except UsageError as error:
        notes.append(f"metrics: those of the dataset, as {error}".rstrip("."))
        return None
    notes += remarks
    return metrics


_CATEGORIES = {
    **dict.fromkeys(("animal_kingdom", "animalpose", "ap10k", "locust", "zebra"), "animal"),
    **dict.fromkeys(("300w", "300wlp", "aflw", "cofw", "wflw", "coco_wholebody_face"), "face"),
    **dict.fromkeys(("coco_wholebody_hand", "freihand", "onehand10k", "rhd2d"), "hand"),
    **dict.fromkeys(("deepfashion_full", "deepfashion_lower", "deepfashion_upper", "deepfashion2"), "clothes"),
}
"""What an estimator looks at, by its keypoint table; a person by default."""


def _pose_classes(metadata: Metadata, table: Any, where: str) -> tuple[str, ...]:
    """Return the classes of an estimator: of the checkpoint, which has COCO's categories, or by the keypoint table.

    Several categories have one network, which does not tell them apart.
    """
    if (names := names_of(metadata.classes, where)) is not None:
        return names
    categories = metadata.dataset.get("CLASSES")
    if isinstance(categories, list | tuple) and len(categories) == 1 and isinstance(categories[0], Mapping):
        name = categories[0].get("name")
        if isinstance(name, str):
            return (name,)
    return (_category(table),)


def _category(table: Any) -> str:
    return _CATEGORIES.get(table, "person") if isinstance(table, str) else "person"


def _old_targets(config: Section, model: Section) -> Fields:
    """Return sigma and input size of mmpose 0.x, which are in the training pipeline and in ``data_cfg``."""
    fields: Fields = {"sigma": 2.0}
    for step in config.sections("train_pipeline"):
        if step.text("type", "") == "TopDownGenerateTarget":
            fields["sigma"] = step.number("sigma", 2.0)
    size = config.section("data_cfg", {}).integers("image_size", None)
    if size is not None:
        fields["input_size"] = (size[0], size[-1])
    return fields


_KINDS: dict[tuple[str, ...], Callable[[Section, Section, Metadata], Content]] = {
    DETECTORS: _detection,
    SEGMENTORS: _semantic,
    ESTIMATORS: _pose,
}
"""Upstream classes of models -> function that derives their recipes."""
