"""Configurations of mmdetection, mmsegmentation, mmpose and detectron2 as recipes. They are read, never executed."""
