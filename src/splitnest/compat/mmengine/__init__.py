"""Configurations, results and drawing that the code bases of OpenMMLab share, with the names of mmengine."""

from splitnest.compat.mmengine.config import Config, ConfigDict

__all__ = ["Config", "ConfigDict"]
