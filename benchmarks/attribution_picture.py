"""Draws the picture of docs/attribution.md from the committed result.

python benchmarks/attribution_picture.py
"""

from __future__ import annotations

import json
from pathlib import Path

from safebasin.report.located import located_figure
from safebasin.report.style import save, styled

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "attribution.json"


def main() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    stored = result["cases"]["shares/wanda"]["shares"]
    shares = {kind: {int(block): one for block, one in row.items()} for kind, row in stored.items()}
    title = f"wanda, safety without utility · {result['plan']['model']}"
    with styled():
        save(located_figure(shares, title), ROOT / "docs" / "images", "attribution", ("png",))


if __name__ == "__main__":
    main()
