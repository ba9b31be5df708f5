"""What a folder proves: its numbers counted again from the records, and what was changed in it.

A folder is that of one run or of a study; `run.kinds` says which, and which runs lie in it.
"""
