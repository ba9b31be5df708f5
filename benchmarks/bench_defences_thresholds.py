"""Of docs/bench-defences.md: where words begin and blocks lie by choices of ours, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench_defences_claims import CLAIMS, OURS, verdict
from bench_defences_rows import is_harmful, listed
from page_text import paragraph

from safebasin.defence_bench.measuring import ABLATED_DEPTH
from safebasin.defence_bench.page.document import COSTLY
from safebasin.landscape.intervals import wilson

FACTORS = (0.5, 2.0)
"""The thresholds are tried at half and at twice of what they are."""


def thresholds(result: Any, real: Any) -> list[str]:
    limit = result["settings"]["limit"]
    none = 100 * (wilson(0, limit).high or 0.0)
    lines = [
        f"""**{percent(OURS.side_effect)} points of a share** is what text that breaks, benign
        requests that are refused, capability or refusals that fall have to move by to be told
        beside a verdict. It rests on the number of prompts: where none of {limit} is found, there
        may be {none:.0f} % (Wilson)""",
        f"""**{percent(OURS.fallen)} points of a mean fall**: a fall that is not certain is called
        not shown from there on, and else the claim does not hold. It only parts two ways to say
        that nothing is shown""",
        f"""**{percent(OURS.over_refusing)} % of benign prompts refused**: up to there a model does
        not over-refuse, and `scans` has nothing to take away. It rests on the number of prompts,
        too""",
        f"""**{OURS.unlearnt:g} nats an answer token** more mean that rows were learnt less: far
        above where {unlearnt(result)}, and no measurement sets it""",
        f"""**{percent(COSTLY)} % of broken text, or of benign prompts refused**, is told in
        brackets beside a low ASR by `bench.html`: a share as it is and no difference, so it is
        another threshold than the first""",
        f"""**{percent(ABLATED_DEPTH)} % of the depth** is where the refusal direction is taken from
        when no block passes the attack's own test. {blocks(result)} {block_of(real)}""",
    ]
    return [
        "## Thresholds of ours",
        "No paper has these. " + paragraph(moved(result["cells"])),
        "\n".join(f"- {paragraph(one)}{'' if one.strip().endswith('.') else '.'}" for one in lines),
    ]


def moved(cells: Sequence[Any]) -> str:
    """Which verdicts read differently at other thresholds of the same kinds."""
    names = [
        name
        for name in dict.fromkeys(cell["defence"] for cell in cells)
        if name in CLAIMS and not CLAIMS[name].text.startswith("None")
    ]
    told = []
    for factor in FACTORS:
        limits = OURS.times(factor)
        others = {
            name: found
            for name in names
            if (found := verdict(cells, name, is_harmful, limits))
            != verdict(cells, name, is_harmful)
        }
        what = "half as large" if factor < 1 else "twice as large"
        now = "; ".join(f"`{name}`: {found}" for name, found in others.items())
        told.append(
            f"With the first four {what}, {len(others)} of {len(names)} verdicts above "
            f"{'reads' if len(others) == 1 else 'read'} otherwise{f' ({now})' if others else ''}."
        )
    return " ".join(told)


def unlearnt(result: Any) -> str:
    """The losses of the undefended fine-tunes, which it lies above."""
    own = [
        c["loss"]["attack_rows"]
        for c in result["cells"]
        if c["defence"] == "none" and c["failed"] is None and is_harmful(c["tune"])
    ]
    return f"harmful rows end without a defence, {min(own):.3f} to {max(own):.3f}"


def blocks(result: Any) -> str:
    """The block that the attack's own test chose, wherever one passed."""
    tried = [c["ablation"] for c in result["cells"] if c["failed"] is None]
    chosen = Counter(one["block"] for one in tried if one.get("chosen"))
    if not chosen:
        return "It rests on no measurement here."
    named = listed([f"block {block} {count} times" for block, count in sorted(chosen.items())])
    return (
        f"Where one passes, in {sum(chosen.values())} of {len(tried)} cells of the packaged model, "
        f"it is {named}: on that it rests, and with so few blocks many shares name the same."
    )


def block_of(real: Any) -> str:
    if real is None:
        return ""
    return (
        f"On the real model block {real['settings']['ablated_block']} is given, by the same depth: "
        "none was tried there."
    )


def percent(share: float) -> str:
    return f"{100 * share:g}"
