"""Metrics: results held against annotations."""
