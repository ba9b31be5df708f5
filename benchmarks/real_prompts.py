"""Writes some rows of a published prompt set as a file of their own.

    python benchmarks/real_prompts.py advbench 451 520 runs/real/advbench-rest.csv

Rows are counted from 1; the file is made anew wherever it is needed and is not shipped.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from safebasin import prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", help="a set by name, or NAME=FILE")
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    found = prompts.load(given.source)
    if not 1 <= given.first <= given.last <= len(found):
        raise SystemExit(f"'{given.source}' has the rows 1 to {len(found)}.")
    chosen = found.prompts[given.first - 1 : given.last]
    given.file.parent.mkdir(parents=True, exist_ok=True)
    with given.file.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "prompt", "kind"])
        writer.writerows([one.id, one.text, one.kind] for one in chosen)
    print(f"prompts  {given.file}, {len(chosen)}")


if __name__ == "__main__":
    main()
