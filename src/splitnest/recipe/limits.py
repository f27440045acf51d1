"""Integers of a recipe with an upper limit, far above any published value: a slip of a digit is an error at once."""

from typing import Annotated

from pydantic import Field

Side = Annotated[int, Field(gt=0, le=32_768)]
"""Side of an image in pixels."""

Channels = Annotated[int, Field(gt=0, le=16_384)]
"""Channels of a layer."""

BatchSize = Annotated[int, Field(gt=0, le=131_072)]
"""Images of an iteration."""

Length = Annotated[int, Field(gt=0, le=1_000_000_000)]
"""Length in epochs or iterations."""

Interval = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""Length or interval in epochs or iterations, or number of them; 0 for none."""

Workers = Annotated[int, Field(ge=0, le=1024)]
"""Number of data loading processes."""

Regions = Annotated[int, Field(gt=0, le=1_000_000)]
"""Anchors, proposals or regions of an image."""

Pixels = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""Area in pixels."""
