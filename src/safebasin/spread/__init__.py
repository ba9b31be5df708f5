"""Spreading points of weight space over processes, a Ray cluster, or the jobs of an array.

Workers answer; the process that opened the run folder alone writes to it.
"""
