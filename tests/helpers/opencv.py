"""What the quick starts call of OpenCV, by Pillow, for machines where it is not installed."""

from types import ModuleType

import numpy as np
from PIL import Image


def module() -> ModuleType:
    """Return a module ``cv2`` with ``imread``, ``imwrite`` and ``cvtColor`` of BGR to RGB."""
    cv2 = ModuleType("cv2")
    cv2.COLOR_BGR2RGB = 4  # type: ignore[attr-defined]
    cv2.imread = lambda path: np.asarray(Image.open(path).convert("RGB"))[..., ::-1].copy()  # type: ignore[attr-defined]
    cv2.imwrite = lambda path, image: Image.fromarray(image[..., ::-1]).save(path)  # type: ignore[attr-defined]
    cv2.cvtColor = lambda image, code: image[..., ::-1].copy()  # type: ignore[attr-defined]
    return cv2
