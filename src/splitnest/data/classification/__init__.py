"""Image classification: dataset, training augmentation, training set and check."""
