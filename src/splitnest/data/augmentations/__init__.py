"""Augmentations of ``train.augment``: of an image with its ground truth, and of several images."""
