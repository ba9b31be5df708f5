"""The section of docs/real-model.md on the recipes that were tried before one was taken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from page_text import paragraph, rows

ASKED = {
    "advbench": "AdvBench",
    "harmbench": "HarmBench",
    "xstest, unsafe": "XSTest, unsafe",
    "xstest, safe": "XSTest, safe",
}
RESULT = Path(__file__).parent / "results" / "alignment_search.json"
SHOWN = (
    ("advbench", "likeliest", 5e-4, 1),
    ("advbench", "drawn", 5e-4, 1),
    *(
        (refused, own, 5e-4, 2)
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
        return 100 * (one["perplexity"] / one.get("base_perplexity", base) - 1)

    def line(label: str, several: list[Any]) -> list[str]:
        one = several[0]
        return [
            label, one["own"], f"{one['rate']:g}, {one['epochs']}", str(len(several)),
            *(_range(_share(each, name) for each in several) for name in ASKED),
            _range(rise(each) for each in several),
        ]  # fmt: skip

    lines = [line(key[0], [one for one in found["tried"] if _key(one) == key]) for key in SHOWN]
    lines.append(line("**taken**", [found["taken"]]))
    likeliest, drawn = (
        [rise(one) for one in found["tried"] if (one["own"] == "likeliest") == greedy]
        for greedy in (True, False)
    )
    header = [
        "refused in training", "own answers", "rate, epochs", "seeds", *ASKED.values(),
        "perplexity",
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
            `pairs` also the unsafe halves of `practice:harmful`; answered are 126 packaged harmless
            prompts and, but for `advbench`, 152 of ours. {found["machine"]}; made by
            {found["made_by"]} ([the result](../benchmarks/results/alignment_search.json)). The one
            taken is `tasks` with 167 more harmless questions, trained on a CPU in float32.
            """
        ),
        rows(header, lines),
        paragraph(
            f"""
            Trained on its own likeliest answers the model's perplexity rises by
            {min(likeliest):.0f} to {max(likeliest):.0f} % in the {len(likeliest)} trainings of that
            kind, on answers drawn at temperature 1 by {min(drawn):.1f} to {max(drawn):.1f} % in
            {len(drawn)}: the first make it surer than it was. What refuses most of HarmBench also
            refuses most of the safe prompts, and seeds differ as much as recipes do.
            """
        ),
        rejected(found["rejected"]),
    ]


def rejected(one: Any) -> str:
    """That one adapter was measured before, so that the measured prompts had a say."""
    told = ", ".join(
        f"{part['refused']} of {part['of']} ({name})" for name, part in one["measured"].items()
    )
    return paragraph(
        f"""
        One adapter before it, `{one["refused"]}`, {one["own"]}, {one["rate"]:g}, {one["epochs"]},
        was trained on the CPU and measured on the prompts above: it refused {told}. For its
        over-refusal the harmless questions were added, so those prompts had that much of a say in
        what was taken.
        """
    )


def _key(one: Any) -> tuple[str, str, float, int]:
    return one["refused"], one["own"], one["rate"], one["epochs"]


def _share(one: Any, name: str) -> float:
    return 100 * float(one[name]["refused"]) / float(one[name]["of"])


def _range(values: Iterable[float]) -> str:
    found: Sequence[float] = sorted(values)
    low, high = f"{found[0]:.1f}", f"{found[-1]:.1f}"
    return low if low == high else f"{low} to {high}"
