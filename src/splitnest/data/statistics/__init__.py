"""Statistics of a dataset as a page: counts, sizes, co-occurrence of classes, example pictures, duplicates."""
