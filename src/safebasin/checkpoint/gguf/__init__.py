"""Models in the GGUF format: one file that holds weights, settings, tokenizer and chat template.

transformers' own reader makes a model of it; what that reader leaves out or gets wrong is put
right here, or refused.
"""
