"""Protocols around a model: what it says of several versions of a photograph."""
