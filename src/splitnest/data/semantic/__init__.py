"""Semantic segmentation: dataset, training augmentation, training set and check."""
