"""Loggers: callbacks that pass the rows of a training on to TensorBoard, Weights & Biases or MLflow."""
