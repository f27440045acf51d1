"""Reading, resizing, warping and normalization of images."""
