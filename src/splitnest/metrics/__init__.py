"""Evaluators: metrics of each task from results and ground truth."""
