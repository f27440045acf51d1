"""Batch sampling, data loading and handling of corrupt images."""
