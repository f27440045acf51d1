"""Analysis of evaluations for reports, by task."""
