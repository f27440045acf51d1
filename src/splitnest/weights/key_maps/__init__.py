"""Key maps: one literal table for each code base, from its module names to ours.

The tables map modules, not tensors: the part of a key after the last dot (``weight``, ``running_mean``, ...) is the
same everywhere. ``{name}`` in a template stands for an integer; ``{name+1}`` in a target is that integer plus 1.
"""
