"""Entry points of detectron2: ``DefaultPredictor`` and what its quick start uses."""
