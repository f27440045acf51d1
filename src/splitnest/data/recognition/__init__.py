"""Recognition of datasets: format, task, splits and classes of a folder or file."""
