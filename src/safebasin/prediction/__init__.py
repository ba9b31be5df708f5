"""Which measure of an aligned model predicts its ASR after a fine-tune? The study's parts.

`alignment` makes checkpoints that differ in how robust their safety is, `measuring` measures them
before and after fine-tunes, `association` holds the statistics. `benchmarks/what_predicts.py`
runs the study; docs/what-predicts.md says what was found.
"""
