"""Guard models as judges: the part that loads and runs a model."""
