"""Inference: loading, prediction, test-time augmentation, layer fusion, and runtimes of exported models."""
