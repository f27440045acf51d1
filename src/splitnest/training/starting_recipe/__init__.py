"""First recipe for a dataset: model, input, length and learning rate that fit the data and the machine."""
