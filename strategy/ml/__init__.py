"""Room: the trainer, the model and its gate."""
