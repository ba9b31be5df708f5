"""The command line: parsing and printing only."""

from __future__ import annotations

from safebasin.cli.entry import main

__all__ = ["main"]
