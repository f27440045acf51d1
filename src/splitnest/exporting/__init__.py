"""Export of models to ONNX and torch.export, and conversion of checkpoints."""
