"""What is listed but cannot be built yet."""


def unbuilt(task: str, cascade: bool) -> str | None:
    """Return the part that this version lacks for models of ``task``, with a cascade or without; None for nothing."""
    match task:
        case "panoptic":
            return "Panoptic FPN"
        case "semantic":
            return "semantic segmentation"
        case "pose":
            return "pose estimation"
        case _:
            return "Cascade R-CNN" if cascade else None
