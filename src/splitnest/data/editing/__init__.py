"""Conversion, splitting and merging of datasets with annotated instances."""
