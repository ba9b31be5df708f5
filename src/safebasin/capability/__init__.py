"""What a model can still do at every point of a scan: `--capability`.

testbed:capability       the packaged questions with exact answers (`-dev` for the other split)
testbed:choice           the packaged multiple-choice questions
FILE                     CSV, JSONL or parquet with prompt, expected; or question, choices, answer
perplexity:FILE          the perplexity of a text file, in windows
lm-eval:TASK[:FEWSHOT]   any task of lm-evaluation-harness, on the displaced model in memory
"""
