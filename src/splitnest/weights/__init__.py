"""Checkpoints: fetched, read without running anything in them, mapped to our key names, loaded, saved."""
