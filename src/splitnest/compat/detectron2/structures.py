"""``Boxes`` and ``Instances``, the results of detectron2's models."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


class Boxes:
    """N boxes.

    Attributes:
        tensor: float32 ``[N, 4]``, xyxy in pixels.
    """

    def __init__(self, tensor: Tensor | Sequence[Sequence[float]]) -> None:
        self.tensor = torch.as_tensor(tensor, dtype=torch.float32)
        if self.tensor.numel() == 0:
            self.tensor = self.tensor.reshape(-1, 4)
        if self.tensor.ndim != 2 or self.tensor.shape[1] != 4:
            raise ValueError(f"boxes have the shape {tuple(self.tensor.shape)}, not [N, 4]")

    @property
    def device(self) -> torch.device:
        """Device of the tensor."""
        return self.tensor.device

    def clone(self) -> "Boxes":
        """Return a copy."""
        return Boxes(self.tensor.clone())

    def to(self, device: Any) -> "Boxes":
        """Return the boxes on another device."""
        return Boxes(self.tensor.to(device=device))

    def area(self) -> Tensor:
        """Return the areas ``[N]``."""
        return (self.tensor[:, 2:] - self.tensor[:, :2]).prod(dim=1)

    def get_centers(self) -> Tensor:
        """Return the centers ``[N, 2]``, x and y."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def nonempty(self, threshold: float = 0.0) -> Tensor:
        """Return which boxes have sides over a threshold, bool ``[N]``."""
        return (self.tensor[:, 2:] - self.tensor[:, :2] > threshold).all(dim=1)

    def clip(self, box_size: tuple[int, int]) -> None:
        """Clip the boxes in place to an image of this height and width."""
        height, width = box_size
        limits = self.tensor.new_tensor([width, height, width, height])
        self.tensor = torch.minimum(self.tensor.clamp(min=0), limits)

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Scale the boxes in place."""
        self.tensor = self.tensor * self.tensor.new_tensor([scale_x, scale_y, scale_x, scale_y])

    @classmethod
    def cat(cls, boxes_list: Sequence["Boxes"]) -> "Boxes":
        """Return the boxes of several as one."""
        return cls(torch.cat([boxes.tensor for boxes in boxes_list])) if boxes_list else cls(torch.empty(0))

    def __getitem__(self, item: Any) -> "Boxes":
        return Boxes(self.tensor[item].reshape(1, 4) if isinstance(item, int) else self.tensor[item])

    def __len__(self) -> int:
        return len(self.tensor)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor)

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"


class Instances:
    """N instances in one image, with fields of length N as attributes; indexing selects instances.

    Args:
        image_size: Height and width of the image in pixels.
        **kwargs: Fields by name.
    """

    def __init__(self, image_size: tuple[int, int], **kwargs: Any) -> None:
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            self.set(name, value)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self._image_size

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        if name == "_fields" or name not in self._fields:
            raise AttributeError(f"Instances have no field {name!r}")
        return self._fields[name]

    def set(self, name: str, value: Any) -> None:
        """Add a field, or change it."""
        if self._fields and len(value) != len(self):
            raise ValueError(f"{name} has {len(value)} entries, and there are {len(self)} instances")
        self._fields[name] = value

    def has(self, name: str) -> bool:
        """Return whether there is a field."""
        return name in self._fields

    def remove(self, name: str) -> None:
        """Remove a field."""
        del self._fields[name]

    def get(self, name: str) -> Any:
        """Return a field."""
        return self._fields[name]

    def get_fields(self) -> dict[str, Any]:
        """Return the fields by name."""
        return self._fields

    def to(self, *args: Any, **kwargs: Any) -> "Instances":
        """Return the instances on another device."""
        fields = {
            name: value.to(*args, **kwargs) if hasattr(value, "to") else value for name, value in self._fields.items()
        }
        return Instances(self._image_size, **fields)

    def __getitem__(self, item: Any) -> "Instances":
        if type(item) is int:
            if not -len(self) <= item < len(self):
                raise IndexError(f"index {item} is out of range for {len(self)} instances")
            item = slice(item, item + 1 or None)
        return Instances(self._image_size, **{name: value[item] for name, value in self._fields.items()})

    def __len__(self) -> int:
        if not self._fields:
            raise NotImplementedError("Instances without fields have no length")
        return len(next(iter(self._fields.values())))

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("Instances cannot be iterated over; index them")

    @staticmethod
    def cat(instance_lists: Sequence["Instances"]) -> "Instances":
        """Return the instances of several, of one image size and with the same fields, as one."""
        first = instance_lists[0]
        if any(each.image_size != first.image_size for each in instance_lists):
            raise ValueError("instances of images of different sizes cannot be joined")
        fields: dict[str, Any] = {}
        for name, value in first.get_fields().items():
            parts: list[Any] = [each.get(name) for each in instance_lists]
            if isinstance(value, list):
                fields[name] = [item for part in parts for item in part]
            else:
                fields[name] = torch.cat(parts) if isinstance(value, Tensor) else type(value).cat(parts)
        return Instances(first.image_size, **fields)

    def __repr__(self) -> str:
        height, width = self._image_size
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        count = len(self) if self._fields else 0
        return f"Instances(num_instances={count}, image_height={height}, image_width={width}, fields=[{fields}])"
