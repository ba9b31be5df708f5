"""Draws the pictures of docs/attribution.md from the committed results.

python benchmarks/attribution_picture.py
"""

from __future__ import annotations

import json
from pathlib import Path

from safebasin.landscape import Estimate
from safebasin.report.located import blocks_figure, located_figure
from safebasin.report.style import save, styled

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    result = json.loads((RESULTS / "attribution.json").read_text(encoding="utf-8"))
    stored = result["cases"]["shares/wanda"]["shares"]
    shares = {kind: {int(block): one for block, one in row.items()} for kind, row in stored.items()}
    title = f"wanda, safety without utility · {result['plan']['model']}"
    with styled():
        save(located_figure(shares, title), IMAGES, "attribution", ("png",))
    gap()


def gap() -> None:
    """The angular gap of the real model by block, with the cosines that it is made of."""
    path = RESULTS / "attribution_real.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"cases": {}}
    case = result["cases"].get("gap/model/paper", {})
    if "curves" not in case:
        return
    values = [Estimate.from_json(one) for one in case["layers"]]
    curves = {k: [Estimate.from_json(one) for one in row] for k, row in case["curves"].items()}
    title = f"angular-gap · {result['plan']['model']}"
    meaning = f"angular-gap ({case['unit']})"
    with styled():
        figure = blocks_figure(values, title, meaning, curves, "mean cosine")
        save(figure, IMAGES, "attribution-gap", ("png",))


if __name__ == "__main__":
    main()
