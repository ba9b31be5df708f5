"""The table over several seeds of the recipe, for the packaged card.

Run as `python -m safebasin.testbed.seeds DIR DIR DIR`, with folders that the recipe wrote; the
first is the packaged one and gives the rest of the card.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safebasin.run.atomic import write_atomic
from safebasin.testbed import model_path
from safebasin.testbed.card import write_card

KEPT = ("seed", "gates", "test", "long_system_prompt", "seconds", "machine", "torch")


def combine(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the table of several reports: of each its gates, its test shares and its times."""
    return {
        "command": "safebasin testbed train --seed N --out DIR",
        "runs": [{key: report[key] for key in KEPT} for report in reports],
    }


def write_seeds(folders: Sequence[Path], out: Path) -> None:
    """Write `seeds.json` of trained folders into `out`, and its card with that table."""
    reports = [
        json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in folders
    ]
    table = combine(reports)
    write_atomic(out / "seeds.json", f"{json.dumps(table, indent=1)}\n".encode())
    write_card(reports[0], out / "README.md", table)


if __name__ == "__main__":
    write_seeds([Path(argument) for argument in sys.argv[1:]], model_path("base").parent)
