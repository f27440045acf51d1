"""Report of an evaluation: a page that says where a model fails, and files that reports are compared by."""
