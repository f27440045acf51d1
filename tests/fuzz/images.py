"""Fuzzing of image files of every format that is read."""

import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.fuzzing import Case
from helpers.mutations import INTEGERS, mutate_bytes
from splitnest.data.images.read import read_image, read_values
from splitnest.data.images.size import image_size
from splitnest.errors import SplitnestError

MODES = {
    ".jpg": (("RGB", {}), ("L", {}), ("CMYK", {}), ("RGB", {"progressive": True})),
    ".png": (("RGB", {}), ("RGBA", {}), ("L", {}), ("P", {}), ("1", {}), ("I;16", {})),
    ".bmp": (("RGB", {}), ("P", {})),
    ".gif": (("P", {}), ("P", {"save_all": True, "append_images": 3})),
    ".webp": (("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"save_all": True, "append_images": 3})),
    ".tif": (
        ("RGB", {}),
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "jpeg"}),
        ("1", {"compression": "group4"}),
        ("F", {}),
    ),
    ".ppm": (("RGB", {}),),
    ".pgm": (("L", {}),),
    ".jp2": (("RGB", {}),),
}
"""Suffix -> modes and options of its valid files."""


def start(folder: Path) -> Case:
    """Write the valid files, and return the function of a case."""
    files = [path.read_bytes() for path in _valid_files(folder)]
    suffixes = list(MODES)

    def run(rng: random.Random) -> None:
        valid = rng.choice(files)
        data = (
            _mutate_png(rng, valid) if valid.startswith(b"\x89PNG") and rng.random() < 0.5 else mutate_bytes(rng, valid)
        )
        path = folder / f"image{rng.choice(suffixes)}"
        path.write_bytes(data)
        errors = []
        for read in (image_size, read_image, read_values):
            try:
                read(path)
            except SplitnestError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    return run


def _valid_files(folder: Path) -> list[Path]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    paths = []
    for suffix, modes in MODES.items():
        for number, (mode, options) in enumerate(modes):
            image = Image.fromarray(pixels)
            image = image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
            arguments = dict(options)
            if count := arguments.pop("append_images", 0):
                arguments["append_images"] = [image] * int(count)
            if suffix == ".jpg" and not number:
                exif = image.getexif()
                exif[0x0112] = 6
                arguments["exif"] = exif
            paths.append(folder / f"valid{number}{suffix}")
            image.save(paths[-1], **arguments)
    return paths


def _mutate_png(rng: random.Random, data: bytes) -> bytes:
    """Change the content of a chunk, and correct its checksum, so that the change gets as far as the decoder."""
    chunks, position = [], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    index = rng.randrange(len(chunks))
    name, body = chunks[index]
    if name == b"IHDR" and rng.random() < 0.5:
        sides = [struct.pack(">I", rng.choice(INTEGERS) % 2**32) if rng.random() < 0.6 else body[:4] for _ in range(2)]
        body = b"".join(sides) + body[8:]
    elif name == b"IDAT" and rng.random() < 0.5:
        body = zlib.compress(mutate_bytes(rng, zlib.decompress(body)))
    else:
        body = mutate_bytes(rng, body)
    chunks[index] = (name, body)
    if rng.random() < 0.2:
        chunks.insert(rng.randrange(len(chunks) + 1), rng.choice(chunks))
    parts = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    return data[:8] + b"".join(parts)
