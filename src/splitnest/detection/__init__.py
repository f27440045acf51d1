"""Two-stage detectors."""
