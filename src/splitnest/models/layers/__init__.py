"""Building blocks that every network shares."""
