"""Evaluation: dataset, network, metrics."""
