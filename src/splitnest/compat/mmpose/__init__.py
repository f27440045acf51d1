"""Entry points of mmpose 1: top-down pose estimation."""
