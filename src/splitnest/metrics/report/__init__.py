"""What a report shows beside the metrics: where a model fails."""
