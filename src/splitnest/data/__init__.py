"""Photographs, annotations and class tables: what goes into a model."""
