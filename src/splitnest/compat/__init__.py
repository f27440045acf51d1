"""Entry points of mmdetection, mmsegmentation, mmpose and detectron2 over the models of splitnest.

A script of these code bases runs with ``splitnest.compat.`` before the packages that it imports.
"""
