"""Results as tables: one row for each instance, segment or class, for data frames, CSV and Parquet."""

from collections.abc import Iterator, Mapping
from typing import Any

from splitnest.errors import UsageError
from splitnest.structures.categories import Categories

Row = dict[str, Any]

_BOX = {"x1": float, "y1": float, "x2": float, "y2": float}
_CLASS = {"label": int, "id": int, "name": str}
_SEGMENT = {"area": int, "mask": str}


def table_columns(task: str, categories: Categories) -> dict[str, type]:
    """Return the columns of the results of a task, and their types.

    Detections have label, id, name, score, x1, y1, x2, y2 and mask (None without masks). Poses have label, id, name,
    score, box_score, the box, and x, y and score of each keypoint, as in ``nose_x``. Semantic segmentations have label,
    id, name, area and mask; panoptic ones also segment, isthing and score. Classifications have label, id, name and
    probability. Boxes and keypoints are in pixels of the image, areas in square pixels; a mask is the ``counts`` of a
    compressed COCO RLE, whose size is that of the image.

    Args:
        task: Task of the model.
        categories: Classes that the labels index.
    """
    match task:
        case "classification":
            return {**_CLASS, "probability": float}
        case "pose":
            names = (f"{name}_{value}" for name in categories.keypoint_names for value in ("x", "y", "score"))
            return {**_CLASS, "score": float, "box_score": float, **_BOX, **dict.fromkeys(names, float)}
        case "panoptic":
            return {"segment": int, **_CLASS, "isthing": bool, "score": float, **_SEGMENT}
        case "semantic":
            return {**_CLASS, **_SEGMENT}
    return {**_CLASS, "score": float, **_BOX, "mask": str}


def table_rows(content: Mapping[str, Any], categories: Categories) -> Iterator[Row]:
    """Yield the rows of a result, as its ``to_dict`` returns it; see ``table_columns``."""
    match task_of_result(content):
        case "classification":
            for label, probability in enumerate(content["probabilities"]):
                category = categories[label]
                yield {"label": label, "id": category.id, "name": category.name, "probability": probability}
        case "pose":
            yield from (_person(row, categories) for row in content["people"])
        case "panoptic" | "semantic":
            yield from ({**row, "mask": row["mask"]["counts"]} for row in content["segments"])
        case _:
            yield from (_detection(row) for row in content["detections"])


def task_of_result(content: Mapping[str, Any]) -> str:
    """Return the task of a result, as its ``to_dict`` returns it; that of instances with masks is detection too."""
    if "probabilities" in content:
        return "classification"
    if "people" in content:
        return "pose"
    if "segments" in content:
        return "panoptic" if "detections" in content else "semantic"
    return "detection"


def data_frame(content: Mapping[str, Any], categories: Categories) -> Any:
    """Return a result as a ``pandas.DataFrame``; see ``table_columns``.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError(
            "to_dataframe() needs the package pandas, which is not installed. Run pip install 'splitnest[tables]'."
        ) from error
    rows = list(table_rows(content, categories))
    columns = table_columns(task_of_result(content), categories)
    types = {int: "int64", float: "float64", bool: "bool", str: "object"}
    return pandas.DataFrame(
        {name: pandas.Series([row[name] for row in rows], dtype=types[type_]) for name, type_ in columns.items()}
    )


def _person(row: Mapping[str, Any], categories: Categories) -> Row:
    label = categories.names.index(row["name"])
    points = {
        f"{name}_{key}": value
        for name, point, score in zip(categories.keypoint_names, row["keypoints"], row["keypoint_scores"], strict=True)
        for key, value in (("x", point[0]), ("y", point[1]), ("score", score))
    }
    scores = {"score": row["score"], "box_score": row["box_score"]}
    class_ = {"label": label, "id": categories[label].id, "name": row["name"]}
    return {**class_, **scores, **_corners(row["box"]), **points}


def _detection(row: Mapping[str, Any]) -> Row:
    class_ = {key: row[key] for key in ("label", "id", "name", "score")}
    mask = row.get("mask")
    return {**class_, **_corners(row["box"]), "mask": None if mask is None else mask["counts"]}


def _corners(box: list[float]) -> Row:
    return dict(zip(_BOX, box, strict=True))
