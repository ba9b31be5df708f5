"""Writes a public text to measure perplexity on: some pages of Python's own language reference.

    python benchmarks/real_text.py runs/real/text.txt

They come with Python, under its licence, and are English that nobody here wrote. Another version
of Python has them worded a little otherwise: the digest of the text stands in each run.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from pydoc_data.topics import topics

PAGES = ("objects", "naming", "exceptions", "with")
OTHER_PAGES = (
    "assert", "for", "if", "try", "class", "function", "import", "while", "strings", "comparisons",
    "calls", "subscriptions", "types",
)  # fmt: skip
"""Pages on which recipes are chosen, so that none is chosen by the text that is measured."""


def text_of(pages: tuple[str, ...]) -> str:
    """The pages that this Python has, without their marks."""
    return "\n\n".join(re.sub(r"[*`_]{1,2}", "", topics[name]) for name in pages if name in topics)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    text = text_of(PAGES)
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(text, encoding="utf-8")
    print(f"text     {given.file}, {len(text)} characters")


if __name__ == "__main__":
    main()
