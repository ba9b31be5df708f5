"""The page of a bench: one HTML file that loads nothing and needs no script to be read."""

from safebasin.defence_bench.page.document import document

__all__ = ["document"]
