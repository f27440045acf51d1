"""Metrics of a pose estimator: section ``evaluation`` of its recipe, and the metrics of published datasets.

The type alone stands for its defaults: ``evaluation: pck``.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from splitnest.recipe.base import Section
from splitnest.recipe.keypoints import Pair
from splitnest.recipe.optimization import from_name


class OksEvaluation(Section):
    """COCO's average precision by object keypoint similarity (OKS).

    Attributes:
        area: Area of a person in OKS: ``annotation``, or ``box`` for 0.53 times the area of the box, for datasets whose
            annotations have none.
    """

    type: Literal["oks"] = "oks"
    area: Literal["annotation", "box"] = "annotation"


class CrowdPoseEvaluation(Section):
    """Average precision of CrowdPose, also of its easy, medium and hard images by ``crowdIndex``."""

    type: Literal["crowdpose"]


class WholeBodyEvaluation(Section):
    """Average precision of COCO-WholeBody: of all keypoints, and of body, feet, face and hands."""

    type: Literal["wholebody"]


class PckhEvaluation(Section):
    """Percentage of correct keypoints of MPII (PCKh), by the head size of each person.

    Attributes:
        threshold: Maximum distance of a correct keypoint, relative to the head size.
    """

    type: Literal["pckh"]
    threshold: float = Field(0.5, gt=0)


class PckEvaluation(Section):
    """Percentage of correct keypoints (PCK), by the longer side of the box of each person.

    Attributes:
        threshold: Maximum distance of a correct keypoint, relative to the side of the box.
        torso: Two keypoints whose distance is the torso size, for PCK relative to it (``tpck``); None for none.
        auc: Whether the area under the curve of PCK at distances of up to 30 pixels is computed.
        epe: Whether the mean distance in pixels (end-point error) is computed.
    """

    type: Literal["pck"]
    threshold: float = Field(0.2, gt=0)
    torso: Pair | None = None
    auc: bool = True
    epe: bool = True


class NmeEvaluation(Section):
    """Normalized mean error of faces.

    Attributes:
        normalize: ``box`` for the longer side of the box, or two keypoints for their distance, such as the outer
            corners of the eyes.
    """

    type: Literal["nme"]
    normalize: Literal["box"] | Pair = "box"


PoseEvaluation = (
    OksEvaluation | CrowdPoseEvaluation | WholeBodyEvaluation | PckhEvaluation | PckEvaluation | NmeEvaluation
)
PoseEvaluationConfig = Annotated[PoseEvaluation | None, Field(discriminator="type"), BeforeValidator(from_name)]

_PCK = PckEvaluation(type="pck")
_BY_BOX = OksEvaluation(area="box")

_OF_TABLES: dict[str, PoseEvaluation] = {
    "aic": _BY_BOX,
    "exlpose": _BY_BOX,
    "crowdpose": CrowdPoseEvaluation(type="crowdpose"),
    "coco_wholebody": WholeBodyEvaluation(type="wholebody"),
    "mpii": PckhEvaluation(type="pckh"),
    "jhmdb": PckEvaluation(type="pck", torso=("left_shoulder", "right_hip"), auc=False, epe=False),
    "animal_kingdom": PckEvaluation(type="pck", threshold=0.05, epe=False),
    "aflw": NmeEvaluation(type="nme"),
    "300w": NmeEvaluation(type="nme", normalize=("kpt-36", "kpt-45")),
    "300wlp": NmeEvaluation(type="nme", normalize=("kpt-36", "kpt-45")),
    "coco_wholebody_face": NmeEvaluation(type="nme", normalize=("face-36", "face-45")),
    "cofw": NmeEvaluation(type="nme", normalize=("kpt-8", "kpt-9")),
    "wflw": NmeEvaluation(type="nme", normalize=("kpt-60", "kpt-72")),
    "coco_wholebody_hand": _PCK,
    "freihand": _PCK,
    "onehand10k": _PCK,
    "rhd2d": _PCK,
    "locust": _PCK,
    "zebra": _PCK,
    "deepfashion_full": _PCK,
    "deepfashion_lower": _PCK,
    "deepfashion_upper": _PCK,
    "deepfashion2": _PCK,
}
"""Keypoint table -> metrics that models of its dataset are published with; COCO's for others."""


def published_evaluation(keypoints: Any) -> PoseEvaluation:
    """Return the metrics that models of a dataset are published with; COCO's for keypoints of no published dataset.

    Args:
        keypoints: Value of ``data.keypoints``.
    """
    found = _OF_TABLES.get(keypoints) if isinstance(keypoints, str) else None
    return OksEvaluation() if found is None else found
