"""Detection, instance and panoptic segmentation: datasets, training augmentation, training set and check."""
