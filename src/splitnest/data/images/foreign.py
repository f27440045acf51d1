"""Recognition of files that are not images in a format that is read, by their first bytes."""

HEAD_LENGTH = 512
"""Number of bytes that are looked at."""

_CONVERT = "Convert it to PNG or JPEG, for example with"
_AVIF = ("an AVIF image", f"{_CONVERT} Pillow from 11.3 on or ImageMagick, which read AVIF")
_HEIC = ("a HEIC image", f"{_CONVERT} the package pillow-heif or ImageMagick, which read HEIC")
_JPEG_XL = ("a JPEG XL image", f"{_CONVERT} djxl or ImageMagick, which read JPEG XL")
_VIDEO = ("a video", "Extract its frames, for example with ffmpeg")
_HTML = ("an HTML page", "Download the image itself; its server may have sent an error page")

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _HEIC),
}
"""Brand of an ISO base media file (ISO/IEC 14496-12, box ``ftyp``) -> format."""

_STARTS = (
    (b"\xff\x0a", _JPEG_XL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JPEG_XL),
    (b"%PDF", ("a PDF document", f"{_CONVERT} pdftoppm")),
    (b"%!PS", ("a PostScript program", f"{_CONVERT} Ghostscript")),
    (b"8BPS", ("a Photoshop document", f"{_CONVERT} Photoshop or ImageMagick")),
    (b"\x76\x2f\x31\x01", ("an OpenEXR image", "Convert it to 8 or 16 bits per channel, for example with ImageMagick")),
    (b"SIMPLE  =", ("a FITS file", "Convert it to 8 or 16 bits per channel, for example with astropy")),
    (b"version https://git-lfs", ("a pointer of Git LFS", "Run git lfs pull, which fetches the image")),
    (b"PK\x03\x04", ("a ZIP archive", "Extract its images")),
)


def describe_foreign(head: bytes) -> tuple[str, str] | None:
    """Return the name of a format that is not read, and what to do; None for an unknown one.

    Args:
        head: First ``HEAD_LENGTH`` bytes of the file.
    """
    if not head:
        return "empty", "Replace the file"
    if head[4:8] == b"ftyp":
        length = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, length, 4)))  # major, then compatible ones
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), _VIDEO)
    if head[128:132] == b"DICM":
        return "a DICOM file", "Convert it to PNG, for example with pydicom or dcm2pnm, which read DICOM"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _VIDEO
    for start, description in _STARTS:
        if head.startswith(start):
            return description
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return _HTML
    if b"<svg" in text:
        return "an SVG drawing", f"{_CONVERT} Inkscape or rsvg-convert"
    return None
