"""Top-down pose estimation: dataset, training augmentation, affine crops, person boxes, training set and check."""
