"""Writers of datasets, tables and pictures: one file for each format, one input for all (``LabeledImage``)."""
