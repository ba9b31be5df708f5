"""The section of docs/real-model.md on the recipes that were tried before one was taken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from page_text import paragraph, rows

RESULT = Path(__file__).parent / "results" / "alignment_search.json"
TAKEN = ("tasks", "drawn twice", 3e-4, 2)
SHOWN = (
    ("advbench", "likeliest", 5e-4, 1),
    ("advbench", "drawn", 5e-4, 1),
    *(
        (refused, own, 3e-4, 2)
        for refused in ("tasks", "pairs")
        for own in ("likeliest", "drawn", "drawn twice")
    ),
)
"""What is refused, whose answers, the rate and the passes of the rows shown."""


def search() -> list[str]:
    """What was tried, and what decides."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    base = found["base"]["perplexity"]

    def rise(one: Any) -> float:
        return 100 * (one["perplexity"] / base - 1)

    lines = []
    for key in SHOWN:
        several = [one for one in found["tried"] if _key(one) == key]
        refused, own, rate, epochs = key
        lines.append(
            [
                f"{refused}{', **taken**' if key == TAKEN else ''}", own, f"{rate:g}, {epochs}",
                str(len(several)),
                *(_range(_share(one, name) for one in several)
                  for name in ("advbench", "harmbench", "xstest, unsafe", "xstest, safe")),
                _range(rise(one) for one in several),
            ]
        )  # fmt: skip
    likeliest, drawn = (
        [rise(one) for one in found["tried"] if (one["own"] == "likeliest") == greedy]
        for greedy in (True, False)
    )
    header = [
        "refused in training", "own answers", "rate, epochs", "seeds", "AdvBench", "HarmBench",
        "XSTest, unsafe", "XSTest, safe", "perplexity",
    ]  # fmt: skip
    return [
        "### What was tried",
        paragraph(
            f"""
            {len(found["tried"])} trainings, on prompts that nothing else here measures: AdvBench's
            251 to 300, HarmBench's standard behaviours 101 to 200, XSTest without the prompts
            measured above, and perplexity on other pages. The shares are of refusals, in per cent,
            perplexity is its rise over the base's, in per cent, each from the lowest to the highest
            of the seeds. `advbench` refuses AdvBench's alone, `tasks` those and our 92 requests,
            `pairs` also the unsafe halves of `practice:harmful`. {found["machine"]}; made by
            {found["made_by"]} ([the result](../benchmarks/results/alignment_search.json)).
            """
        ),
        rows(header, lines),
        paragraph(
            f"""
            Trained on its own likeliest answers the model's perplexity rises by
            {min(likeliest):.0f} to {max(likeliest):.0f} % in the {len(likeliest)} trainings of that
            kind, on answers drawn at temperature 1 by {min(drawn):.1f} to {max(drawn):.1f} % in
            {len(drawn)}: the first make it surer than it was. What refuses most of HarmBench also
            refuses the most safe prompts, and seeds differ as much as recipes do.
            """
        ),
    ]


def _key(one: Any) -> tuple[str, str, float, int]:
    return one["refused"], one["own"], one["rate"], one["epochs"]


def _share(one: Any, name: str) -> float:
    return 100 * float(one[name]["refused"]) / float(one[name]["of"])


def _range(values: Iterable[float]) -> str:
    found: Sequence[float] = sorted(values)
    low, high = f"{found[0]:.1f}", f"{found[-1]:.1f}"
    return low if low == high else f"{low} to {high}"
