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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    text = "\n\n".join(re.sub(r"[*`_]{1,2}", "", topics[name]) for name in PAGES)
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(text, encoding="utf-8")
    print(f"text     {given.file}, {len(text)} characters")


if __name__ == "__main__":
    main()
