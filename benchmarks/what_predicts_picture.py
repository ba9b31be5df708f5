"""Draws the picture of docs/what-predicts.md from the committed result.

python benchmarks/what_predicts_picture.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from safebasin.prediction.analysis import MEASURES, is_well_aligned, outcome
from safebasin.report.style import COMPARED_COLOURS, QUIET, save, styled

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "what_predicts.json"
UNITS = {
    "visage": "points of 100",
    "width": "alpha, both sides",
    "area": "% of the range",
    "worst_case": "alpha",
    "first_token": "-1 to 1",
    "plain": "%, undisplaced; more is worse",
}
MARKERS = "os^DvP"


def draw(found: Any, file: Path) -> None:
    """Each measure against the mean ASR after the harmful fine-tunes, as a PNG."""
    records, views = found["checkpoints"], found["analysis"]["views"]
    bases = list(dict.fromkeys(row["base"] for row in records))
    aligned = np.array([is_well_aligned(row) for row in records])
    base = np.array([row["base"] for row in records])
    after = 100 * outcome(records, "harmful")
    with styled():
        figure = Figure(figsize=(9.5, 6.4), layout="constrained")
        panels = figure.subplots(2, 3, sharey=True).ravel()
        for panel, (name, title) in zip(panels, MEASURES.items(), strict=True):
            key = "plain_asr" if name == "plain" else name
            values = np.array([row["before"][key] for row in records], dtype=float)
            values = 100 * values if name in ("plain", "area") else values
            for i, one in enumerate(bases):
                for inside in (True, False):
                    at = (base == one) & (aligned == inside)
                    panel.scatter(
                        values[at],
                        after[at],
                        s=26,
                        marker=MARKERS[i],
                        facecolors=COMPARED_COLOURS[i] if inside else "none",
                        edgecolors=COMPARED_COLOURS[i],
                        linewidths=0.9,
                        label=one if inside else None,
                        clip_on=False,
                    )
            both = [views[view]["harmful"][name] for view in ("all", "well_aligned")]
            first, second = (
                ("-" if part["value"] is None else f"{part['value']:+.2f}") for part in both
            )
            panel.set_title(f"{title}\nall {first}, well aligned {second}", fontsize=9.5)
            panel.set_xlabel(UNITS[name], color=QUIET)
            panel.set_ylim(0, 100)
        for panel in panels[::3]:
            panel.set_ylabel("ASR after harmful fine-tunes, %")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(bases), title="base")
        save(figure, file.parent, file.stem, ("png",))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/what-predicts.png")
    given = parser.parse_args()
    draw(json.loads(given.result.read_text(encoding="utf-8")), given.out)


if __name__ == "__main__":
    main()
