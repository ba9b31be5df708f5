"""One loaded model to work on: its rows of conversation, its linear layers, what flows in them."""
