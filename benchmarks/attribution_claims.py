"""Each claim of the papers, the number of ours that bears on it, and whether they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from attribution_numbers import less, letters, mean, of_seeds
from page_text import rows

from safebasin.landscape import Estimate


def table(found: Any) -> str:
    lines = [
        *removal(found),
        *overlap(found),
        *layers(found),
        *restricted(found),
    ]
    return rows(["claim", "ours", "so"], [line for line in lines if line])


def removal(found: Any) -> list[list[str]]:
    """Refusal falls more than with random weights, at less cost than without the difference."""
    lines = []
    for method, name in (("snip", "SNIP"), ("wanda", "Wanda"), ("actsvd", "ActSVD")):
        tried = {
            setting: _less_random(found, method, setting, "harmful", "r")
            for setting in found.settings("difference", method)
        }
        known = {key: one for key, one in tried.items() if one.value is not None}
        if not known:
            continue
        least = min(known, key=lambda key: known[key].value or 0.0)
        helped = _less_random(found, method, least, "benign", "i")
        broken = _less_random(found, method, least, "harmful", "i")
        sure = (known[least].high or 0.0) < 0
        held = "as claimed" if sure else "not seen"
        if sure and (broken.value or 0) > 0.5 * -(known[least].value or 0.0):
            held = "refusal falls, and mostly into broken text"
        lines.append(
            [
                f"{name}: without what safety alone needs, refusal falls where a random part of "
                "that size leaves it (Wei et al., Sec. 4)",
                f"at {least.replace('-', ' and ')}: {_points(known[least])} points of refusals "
                f"against random, {_points(broken)} of broken answers to harmful and "
                f"{_points(helped)} to benign prompts",
                held,
            ]
        )
    return lines


def overlap(found: Any) -> list[list[str]]:
    cases = found.beneath("overlap/")
    lines = []
    own = [case for name, case in cases.items() if name.startswith("utility/wanda/")]
    if own:
        attention, mlp = (float(np.mean([case[part] for case in own])) for part in PARTS)
        lines.append(
            [
                "The sets of safety and of utility overlap less in MLPs than in attention "
                "(Wei et al., Sec. 4)",
                f"Wanda: Jaccard {mlp:.2f} in MLPs, {attention:.2f} in attention",
                "as claimed" if mlp < attention else "the other way round",
            ]
        )
    sets = [case for name, case in cases.items() if name.startswith("sets/") and "jaccard" in case]
    seeds = [c for name, c in cases.items() if name.startswith("seeds/") and "jaccard" in c]
    if sets and seeds:
        other, same = (of_seeds([case["jaccard"] for case in group]) for group in (sets, seeds))
        lines.append(
            [
                "Regions found on different data overlap poorly (arXiv 2602.17696, a critique)",
                f"Jaccard {other.value:.2f} between two sets of refusals, {same.value:.2f} between "
                "two draws of one",
                "as claimed" if (other.value or 0) < 0.5 * (same.value or 0) else "not seen",
            ]
        )
    return lines


def layers(found: Any) -> list[list[str]]:
    base = found.cases.get("gap/base/paper")
    if base is None:
        return []
    sure = [i for i, one in enumerate(base["layers"]) if not one["low"] <= 0 <= one["high"]]
    shown = ", ".join(f"{one['value']:+.1f}" for one in base["layers"])
    return [
        [
            "A model that was never aligned has no angular gap (Li et al., Sec. 3)",
            f"degrees by block of `{found.plan['base']}`: {shown}; without 0 in its interval in "
            f"{len(sure)} of {len(base['layers'])} blocks",
            "not so" if sure else "as claimed",
        ]
    ]


def restricted(found: Any) -> list[list[str]]:
    """Whether the interval that scaling found is where noise takes refusal soonest."""
    scaled = found.beneath("scaling/")
    noise = found.beneath("noise/")
    if not scaled or not noise:
        return []
    name, case = next(iter(scaled.items()))
    length = f"{found.plan['noise'][1]:g}"
    each: dict[str, list[Any]] = {}
    for key, row in noise.items():
        interval = key.rpartition("/")[0]
        first, _, last = interval.partition("-")
        if first == last:
            each.setdefault(first, []).extend(row[length])
    blocks = {block: mean(np.array(rows, dtype=float)) for block, rows in each.items()}
    weakest = min(blocks, key=lambda block: blocks[block].value or 0.0)
    inside = case["first"] <= int(weakest) <= case["last"]
    shown = ", ".join(f"block {b}: {one.value or 0:.2f}" for b, one in blocks.items())
    others = [one.low or 0.0 for block, one in blocks.items() if block != weakest]
    told = min(others) > (blocks[weakest].high or 0.0)
    return [
        [
            "Safety lies in the interval that scaling finds (Li et al., Sec. 3.4), so noise of one "
            "length should do most there",
            f"`{name}` finds blocks {case['first']} to {case['last']}; P(refusal) with noise at "
            f"{length} in one block: {shown}",
            f"weakest is block {weakest}, {'inside' if inside else 'outside'} it"
            if told
            else "the blocks cannot be told apart",
        ]
    ]


PARTS = ("attention", "mlp")


def _less_random(found: Any, method: str, setting: str, field: str, letter: str) -> Estimate:
    own, control = found.paired("difference", "random", method, setting)
    if not own:
        return Estimate(None)
    return less(*(letters(cases, field, letter) for cases in (own, control)))


def _points(one: Estimate) -> str:
    if one.value is None:
        return "not judged"
    low, high = (one.value if end is None else end for end in (one.low, one.high))
    return f"{100 * one.value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"
