"""What lies between the products of a layer on the CPU, in a few compiled kernels.

`kernels.py` is the door: what tensors go in and come out. `team.py` runs C functions by torch's own
threads. `functions.py` has Numba compile them: `between.py`, `attention.py` and `choosing.py`, with
`memory.py` under them and the structures of `records.py` as what they are told.
"""
