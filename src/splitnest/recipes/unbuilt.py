"""What is listed but cannot be built yet."""


def unbuilt(task: str) -> str | None:
    """Return the part that this version lacks for models of ``task``; None for nothing."""
    return {"pose": "pose estimation"}.get(task)
