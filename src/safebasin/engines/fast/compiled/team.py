"""Compiled functions run by the threads that torch's own operators run on.

Threads of another pool would wait for those of torch, which stay busy for a while after each
operator in case another one follows.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

import torch

_NAME = "libgomp.so.1"


def _openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch has loaded; None where it is not GNU's."""
    uses_openmp: bool = torch.backends.openmp.is_available()  # type: ignore[no-untyped-call]
    if not uses_openmp or not hasattr(os, "RTLD_NOLOAD"):
        return None
    try:
        return ctypes.CDLL(_NAME, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return None


class Team:
    """The threads of torch in this process."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._run = library.GOMP_parallel
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self._run.restype = None
        self.number_address, self.count_address = (
            ctypes.cast(function, ctypes.c_void_p).value or 0
            for function in (library.omp_get_thread_num, library.omp_get_num_threads)
        )
        """Of the C functions that tell a thread its number, from 0, and how many there are."""
        self._alone = cache(ctypes.CFUNCTYPE(None, ctypes.c_void_p))

    @classmethod
    def of_torch(cls) -> Team | None:
        """None where torch's threads cannot be asked to run a function."""
        library = _openmp()
        return None if library is None else cls(library)

    def run(self, function: int, record: int, threads: int) -> None:
        """Have each thread call the C function at an address with the record at another one.

        `threads` is 1 or torch's number of threads: with another one the team would be made anew.
        """
        if threads == 1:
            self._alone(function)(record)
        else:
            self._run(function, record, threads, 0)
