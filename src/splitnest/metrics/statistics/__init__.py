"""Statistics of each image, from which metrics of any choice of images are computed, as in a bootstrap."""
