"""Draws the pictures of docs/real-model.md from the committed result.

python benchmarks/real_picture.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from safebasin.exchange import Outcome
from safebasin.landscape import Landscape, Survey
from safebasin.plane import Axis, Plane
from safebasin.report.figures import curve
from safebasin.report.style import COMPARED_COLOURS, QUIET, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "real.json"
MARKERS = "os^DvP"
HEADLINE = "llm-landscape"
OUTCOMES: dict[str, Outcome | None] = {
    "R": "refused",
    "C": "complied",
    "I": "incoherent",
    "-": None,
}


def draw(found: Any, file: Path) -> None:
    """Left the lines of the aligned model and its base, right the ways to the fine-tunes."""
    steps = found["steps"]
    tunes = [name for name in steps if name.startswith("compare ") and name != "compare base"]
    with styled():
        figure = Figure(figsize=(9.5, 5.0), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        lines = (
            ("line", "aligned, ASR", HEADLINE, "asr", "-"),
            ("line base", "base, ASR", HEADLINE, "asr", "-"),
            ("line base", "base, incoherent", "outcome", "incoherent", ":"),
        )
        for i, (step, label, judge, what, style) in enumerate(lines):
            if step in steps:
                one = steps[step]["result"]["judges"][judge]
                one_line(left, one, what, label, i, style)
        for i, name in enumerate(tunes):
            one_line(right, steps[name]["result"]["path"], "asr", name.partition(" ")[2], i, "-")
        left.set_title("a random direction")
        left.set_xlabel("displacement α")
        left.set_ylabel("answers, %")
        left.set_ylim(-3, 103)
        right.set_title("towards each fine-tune of the aligned model: ASR")
        right.set_xlabel("share of the way; 1 is the fine-tune")
        for panel in (left, right):
            panel.axhline(10, color=QUIET, lw=1, ls=(0, (4, 3)))
            panel.grid(axis="y", color="#E6E6E6", linewidth=0.6)
            if panel.get_legend_handles_labels()[1]:
                panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=9)
        save(figure, file.parent, file.stem, ("png",))


def one_line(axes: Axes, one: Any, what: str, label: str, i: int, style: str) -> None:
    """The share of answers that are attack successes, or of one outcome, with its interval."""
    places = one["axes"][0]
    colour = COMPARED_COLOURS[i % len(COMPARED_COLOURS)]
    if what == "asr":
        mean = one["mean"]
        axes.fill_between(
            places, *([100 * v for v in mean[end]] for end in ("low", "high")),
            color=colour, alpha=0.12, linewidth=0,
        )  # fmt: skip
        values = [100 * value for value in mean["value"]]
    else:
        values = [100 * cell[what] / cell["n"] for cell in one["landscapes"][0]]
    axes.plot(
        places, values, color=colour, ls=style, marker=MARKERS[i % len(MARKERS)], ms=4, lw=1.8,
        label=label, clip_on=False,
    )  # fmt: skip


def landscape(found: Any, folder: Path) -> None:
    """The line of the aligned model as `scan` draws it, from the committed verdicts."""
    verdicts, axes = found["verdicts"], found["steps"]["line"]["result"]["judges"][HEADLINE]["axes"]
    [[name]] = found["steps"]["line"]["result"]["judges"][HEADLINE]["directions"]
    plane = Plane((Axis(name, tuple(axes[0])),))
    ids = verdicts["prompts"]
    surveys = {}
    for judge, letters in verdicts["judges"].items():
        read = {
            point: dict(zip(ids, (OUTCOMES[one] for one in letters[point.label]), strict=True))
            for point in plane.points
        }
        surveys[judge] = Survey((Landscape.from_verdicts(plane, judge, ids, read),))
    figure = curve(
        surveys[HEADLINE],
        model="SmolLM2-135M-Instruct, aligned",
        prompts=f"AdvBench's first {len(ids)}",
        shares=surveys["outcome"],
    )
    with styled():
        save(figure, folder, "real-landscape", ("png",))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/real-model.png")
    given = parser.parse_args()
    found = json.loads(given.result.read_text(encoding="utf-8"))
    draw(found, given.out)
    landscape(found, given.out.parent)


if __name__ == "__main__":
    main()
