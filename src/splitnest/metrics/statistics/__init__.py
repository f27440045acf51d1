"""Per-image statistics, from which metrics of any subset or bootstrap sample are computed."""
