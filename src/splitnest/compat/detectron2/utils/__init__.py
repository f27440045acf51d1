"""Logging and drawing of detectron2."""
