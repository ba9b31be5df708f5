"""Ways to keep or restore the safety of a model: by its weights, while it answers, in training."""
