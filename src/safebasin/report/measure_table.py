"""The table of measures in the documentation, generated from the list of them.

python -m safebasin.report.measure_table docs/reading-a-landscape.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from safebasin.landscape.table import MEASURES, Measure
from safebasin.run.atomic import write_atomic

BEGIN = "<!-- python -m safebasin.report.measure_table docs/reading-a-landscape.md -->\n"
END = "<!-- end -->\n"


def replaced(page: str) -> str:
    """The page with the table of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{measure_table()}\n{END}{after}"


def measure_table() -> str:
    """All measures as Markdown: name, place in the JSON, unit, what they say and do not say."""
    head = ("number", "`landscape.json`", "unit", "what it says", "what it does not say", "from")
    rows = [head, *map(tuple, map(_cells, MEASURES.values()))]
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n".join(line.replace("  ", " ") for line in lines) + "\n"


def _cells(measure: Measure) -> Iterator[str]:
    yield measure.name
    yield f"`{measure.key}`"
    yield measure.unit
    yield measure.meaning
    outside = "anything where there is no basin" if measure.of_basin else ""
    yield "; ".join(filter(None, (measure.silent, outside)))
    yield measure.source


if __name__ == "__main__":
    path = Path(sys.argv[1])
    write_atomic(path, replaced(path.read_text(encoding="utf-8")).encode())
