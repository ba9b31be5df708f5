"""Brings a finished bench of defences into one committed file, a line a cell.

    safebasin bench-defences ... --out runs/bench-defences
    python benchmarks/bench_defences.py runs/bench-defences --out RESULT

Numbers are rounded to five places; the page and its intervals are counted anew from the cells.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

APART = ("benign", "line", "path", "margin_at_least", "first_token_kl")
"""What of a cell the page does not show: it stays in the folder of the bench."""
OWN = ("model", "out", "device", "template", "trust_remote_code")


def collected(folder: Path) -> dict[str, Any]:
    """The settings that determine the numbers, the versions, and every cell by name."""
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    identity = design["identity"]
    files = sorted((folder / "cells").glob("*.json"), key=lambda path: path.stat().st_mtime)
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    settings = {k: v for k, v in identity["settings"].items() if k not in OWN and v is not None}
    return {
        "model": {key: identity["model"][key] for key in ("name", "fingerprint")},
        "settings": {key: shown(value) for key, value in settings.items()},
        "versions": design["versions"],
        "cells": [
            rounded({key: value for key, value in cell.items() if key not in APART})
            for cell in cells
        ],
    }


def shown(value: Any) -> Any:
    """A setting without the folders of the machine."""
    if not isinstance(value, str) or "/" not in value:
        return value
    return ",".join(
        f"{head}{sep}{Path(tail).name}"
        for head, sep, tail in (one.rpartition("=") for one in value.split(","))
    )


def rounded(value: Any) -> Any:
    match value:
        case bool():
            return value
        case float():
            return round(value, 5)
        case dict():
            return {key: rounded(one) for key, one in value.items()}
        case list():
            return [rounded(one) for one in value]
    return value


def committed(result: dict[str, Any]) -> str:
    """The result as JSON, every cell on a line of its own."""
    head = json.dumps({**result, "cells": []}, indent=1, allow_nan=False)
    rows = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in result["cells"])
    return head.removesuffix("]\n}") + f"\n{rows}\n ]\n}}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.write_text(committed(collected(given.folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
