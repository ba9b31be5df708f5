"""Each claim of the papers, the numbers of ours that bear on it, and whether they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from attribution_found import PARTS, Found, percent, points
from attribution_numbers import LEVEL, letters, mean, of_seeds
from page_text import rows

from safebasin.landscape import Estimate

WIDE = 1.0
"""An interval of a difference that is longer than this holds nearly anything: too few seeds."""

Claims = dict[str, tuple[str, str]]
"""By what is claimed: ours, and what to think of it."""


def table(found: Found, real: Found | None) -> str:
    """What the packaged model says of each claim, and the real one beside it."""
    ours, theirs = _claims(found), {} if real is None else _claims(real)
    if not theirs:
        return rows(["claim", "ours", "so"], [[claim, *own] for claim, own in ours.items()])
    silent = ("not measured", "")
    lines = [
        [claim, *ours.get(claim, silent), *theirs.get(claim, silent)]
        for claim in dict.fromkeys([*ours, *theirs])
    ]
    return rows(["claim", "the packaged model", "so", "SmolLM2-135M, aligned", "so"], lines)


def _claims(found: Found) -> Claims:
    return {
        **removal(found),
        **cost(found),
        **overlap(found),
        **probed(found),
        **frozen(found),
        **layers(found),
        **restricted(found),
    }


def removal(found: Found) -> Claims:
    """Refusal falls more than with random weights."""
    claims: Claims = {}
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
        wide = (known[least].high or 0.0) - (known[least].low or 0.0) > WIDE
        held = "as claimed" if sure else "cannot be told" if wide else "not seen"
        if sure and (broken.value or 0) > 0.5 * -(known[least].value or 0.0):
            held = "refusal falls, and mostly into broken text"
        claims[
            f"{name}: without what safety alone needs, refusal falls where a random part of "
            "that size leaves it (Wei et al., Sec. 4)"
        ] = (
            f"at {least.replace('-', ' and ')}: {points(known[least], 0)} points of refusals "
            f"against random, {points(broken, 0)} of broken answers to harmful and "
            f"{points(helped, 0)} to benign prompts",
            held,
        )
    return claims


def cost(found: Found) -> Claims:
    """Help is kept where the top of safety is removed without what utility needs, too."""
    claims: Claims = {}
    for method, name in (("snip", "SNIP"), ("wanda", "Wanda"), ("actsvd", "ActSVD")):
        # The largest setting of both; of ranks the first is that of safety.
        alone = {one.partition("-")[0]: one for one in found.settings("difference", method)}
        both = [one for one in found.settings("top", method) if one in alone]
        if not both:
            continue
        top = f"top/{method}/{both[-1]}"
        own = f"difference/{method}/{alone[both[-1]]}"
        broken = found.less(own, top, "benign", "i")
        if broken.value is None:
            continue
        sure, sizes = (broken.high or 0.0) < 0, _sizes(found, own, top)
        claims[
            f"{name}: without what safety alone needs, more help is left than without all that "
            "safety needs most (Wei et al., Sec. 4)"
        ] = (
            f"at {alone[both[-1]].replace('-', ' and ')} against the top {both[-1]}: "
            f"{points(broken, 0)} points of broken answers to benign prompts{sizes}",
            "as claimed" if sure else "cannot be told" if (broken.low or 0.0) < 0 else "not seen",
        )
    return claims


def _sizes(found: Found, own: str, top: str) -> str:
    """How many weights were removed, where weights were."""
    sides = found.paired(own, top)
    if not all("taken" in case for side in sides for case in side):
        return ""
    shares = [np.mean([case["taken"] / case["of"] for case in side]) for side in sides]
    one, other = (f"{100 * share:.2f} %" for share in shares)
    return f", with {one} of the weights removed against {other}"


def overlap(found: Found) -> Claims:
    cases = found.beneath("overlap/")
    claims: Claims = {}
    own = [case for name, case in cases.items() if name.startswith("utility/wanda/")]
    if own:
        attention, mlp = (float(np.mean([case[part] for case in own])) for part in PARTS)
        claims[
            "The sets of safety and of utility overlap less in MLPs than in attention "
            "(Wei et al., Sec. 4)"
        ] = (
            f"Wanda: Jaccard {mlp:.2f} in MLPs, {attention:.2f} in attention",
            "as claimed" if mlp < attention else "the other way round",
        )
    sets = [case for name, case in cases.items() if name.startswith("sets/") and "jaccard" in case]
    seeds = [c for name, c in cases.items() if name.startswith("seeds/") and "jaccard" in c]
    if sets and seeds:
        other, same = (of_seeds([case["jaccard"] for case in group]) for group in (sets, seeds))
        claims["Regions found on different data overlap poorly (arXiv 2602.17696, a critique)"] = (
            f"Jaccard {other.value:.2f} between two sets of refusals, {same.value:.2f} between "
            "two draws of one",
            "as claimed" if (other.value or 0) < 0.5 * (same.value or 0) else "not seen",
        )
    return claims


def probed(found: Found) -> Claims:
    """Heads that a probe finds: as few as take refusals, unlike as many random ones."""
    for count in found.plan.get("heads") or ():
        own, heads = f"heads/probe/{count}", f"heads/random/{count}"
        refused = found.less(own, heads, "harmful", "r")
        if refused.high is None or refused.high >= 0:
            continue
        helped = found.less(own, heads, "benign", "i")
        of = next(iter(found.beneath(f"{own}/").values()))["heads"]
        return {
            "Probes of heads, the baseline, are a worse guide than sets of weights: without the "
            "heads that they find help is lost, too (Wei et al., Sec. 4)": (
                f"without {count} of {of} heads by probe: {points(refused, 0)} points of refusals "
                f"against as many random heads, and {points(helped, 0)} of broken answers to "
                "benign prompts",
                "as claimed" if (helped.low or 0.0) > 0 else "not seen",
            )
        }
    return {}


def frozen(found: Found) -> Claims:
    """At the largest share and the most rows, where all have learnt the same."""
    plan = found.plan.get("frozen")
    if not plan:
        return {}
    recipe, share = plan["recipes"][-1], f"{plan['shares'][-1]:g}"
    settings = {
        "nothing": "nothing/0", "located": f"located/{share}", "random": f"random/{share}",
    }  # fmt: skip
    asr = {
        name: mean(letters(found.seeds("frozen", recipe, setting), "keywords", "c"))
        for name, setting in settings.items()
        if found.seeds("frozen", recipe, setting)
    }
    if len(asr) < 3:
        return {}
    heads = (f"frozen/{recipe}/{one}" for one in (f"located/{share}", "nothing/0"))
    less = found.less(*heads, "keywords", "c")
    fell = -(less.value or 0.0)
    return {
        "Freezing the weights that safety needs does not stop harmful fine-tuning (Wei et al., "
        "Sec. 4)": (
            f"{recipe}, {100 * plan['shares'][-1]:.0f} % frozen, at one training loss: ASR "
            f"{percent(asr['located'], 0)} where located weights are frozen, "
            f"{percent(asr['random'], 0)} where random ones are, {percent(asr['nothing'], 0)} "
            "where none are",
            "as claimed" if fell < 0.5 * (asr["nothing"].value or 0.0) else "not so: it is halved",
        )
    }


def layers(found: Found) -> Claims:
    base = found.cases.get("gap/base/paper")
    if base is None:
        return {}
    sure = sum(not one["low"] <= 0 <= one["high"] for one in base["layers"])
    told = f"`{found.plan['base']}`: {_ends(base)}; without 0 in its interval in {sure} of "
    told += f"{len(base['layers'])} blocks"
    if own := found.cases.get("gap/model/paper"):
        told += f". Aligned: {_ends(own)}"
    # So many of the intervals at 95 % miss 0 by chance.
    chance = (1 - LEVEL) * len(base["layers"])
    return {
        "Before it is aligned a model has no angular gap (Li et al., Sec. 3)": (
            told,
            "not so" if sure > chance else "as claimed",
        )
    }


def _ends(case: Any) -> str:
    """The least and the greatest gap of all blocks."""
    values = [one["value"] for one in case["layers"]]
    return f"{min(values):+.1f} to {max(values):+.1f} degrees"


def restricted(found: Found) -> Claims:
    """Whether the interval that scaling found is where noise takes refusal soonest."""
    scaled, noise = found.beneath("scaling/"), found.beneath("noise/")
    if not scaled or not noise:
        return {}
    objective = found.plan["objective"]
    name = next((one for one in scaled if one.startswith(objective)), next(iter(scaled)))
    case = scaled[name]
    each: dict[tuple[int, int], list[Any]] = {}
    for key, row in noise.items():
        first, _, last = key.rpartition("/")[0].partition("-")
        each.setdefault((int(first), int(last)), []).append(row)
    # Single blocks where they were measured, else intervals that do not overlap.
    single = {where: own for where, own in each.items() if where[0] == where[1]} or each
    length = _telling(single, found.plan["noise"])
    parts = {
        where: mean(np.array([one for row in own for one in row[length]], dtype=float))
        for where, own in single.items()
    }
    weakest = min(parts, key=lambda where: parts[where].value or 0.0)
    inside = weakest[0] <= case["last"] and case["first"] <= weakest[1]
    shown = ", ".join(f"{_blocks(w)} {one.value or 0:.2f}" for w, one in parts.items())
    others = [one.low or 0.0 for where, one in parts.items() if where != weakest]
    told = min(others) > (parts[weakest].high or 0.0)
    return {
        "Safety lies in the interval that scaling finds (Li et al., Sec. 3.4), so noise of one "
        "length should do most there": (
            f"`{name}` finds blocks {case['first']} to {case['last']}; P(refusal) with noise at "
            f"{length}, where they differ most, in blocks: {shown}",
            f"most is done in {_blocks(weakest)}, {'inside' if inside else 'outside'} it"
            if told
            else "the blocks cannot be told apart",
        )
    }


def _telling(parts: dict[tuple[int, int], list[Any]], lengths: list[float]) -> str:
    """The length at which the parts differ most."""

    def apart(length: str) -> float:
        values = [
            mean(np.array([one for row in own for one in row[length]], dtype=float)).value or 0.0
            for own in parts.values()
        ]
        return max(values) - min(values)

    return max((f"{one:g}" for one in lengths), key=apart)


def _blocks(where: tuple[int, int]) -> str:
    first, last = where
    return f"{first}" if first == last else f"{first} to {last}"


def _less_random(found: Found, method: str, setting: str, field: str, letter: str) -> Estimate:
    heads = (f"{kind}/{method}/{setting}" for kind in ("difference", "random"))
    return found.less(*heads, field, letter)
