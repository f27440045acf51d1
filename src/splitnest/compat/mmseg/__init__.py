"""Entry points of mmsegmentation 1: semantic segmentation."""
