"""The sections of docs/attribution.md that any model has: weights, ranks, agreement, layers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from attribution_found import PARTS, Found, effects, percent, points, spread
from attribution_numbers import letters, mean, of_seeds
from page_text import paragraph, rows

from safebasin.landscape import Estimate

KINDS = {
    "difference": "safety without utility",
    "random": "as many, random",
    "reverse": "utility without safety",
    "sequential": "safety without utility, in order",
    "top": "top of safety",
    "top-random": "as many, random",
}
CONTROL = {"difference": "random", "reverse": "random", "sequential": "random", "top": "top-random"}
PICTURE = "images/attribution-gap.png"
MANY = 8
"""A model of more blocks is told by its extremes."""


def removals(found: Found, method: str, name: str) -> str:
    lines = []
    for kind in KINDS:
        for setting in found.settings(kind, method):
            against = ""
            if kind in CONTROL:
                heads = (f"{one}/{method}/{setting}" for one in (kind, CONTROL[kind]))
                against = points(found.less(*heads, "harmful", "r"))
            label = f"{KINDS[kind]}, {setting.replace('-', ' and ')}"
            lines.append((label, found.seeds(kind, method, setting), against))
    return effects(f"{name}: what is removed", lines)


def agreement(found: Found) -> list[str]:
    groups: dict[str, list[Any]] = {}
    for name, case in found.beneath("overlap/").items():
        groups.setdefault(name.rpartition("/")[0], []).append(case)
    told = {
        "seeds": "two calibration draws of safety",
        "methods": "SNIP and Wanda, safety",
        "utility": "safety and utility",
        "sets": "safety and other refusals",
    }
    lines = []
    for name, cases in groups.items():
        what, _, method = name.partition("/")
        key = "jaccard" if "jaccard" in cases[0] else "similarity"
        cells = [spread(of_seeds([case[part] for case in cases])) for part in (key, *PARTS)]
        if key == "jaccard":
            share = cases[0]["share"]
            chance = share / (2 - share)
        else:
            chance = cases[0]["chance"]
        lines.append([f"{told[what]}{f', {method}' if method else ''}", *cells, f"{chance:.2f}"])
    if not lines:
        return []
    return [
        paragraph(
            f"""
            Jaccard of the top {100 * found.plan["shares"][-1]:g} % of every matrix; of ActSVD the
            similarity ‖UᵀV‖² / rank of rank-{found.plan["ranks"][0][1]} subspaces. The mean with
            the least and the greatest over seeds or pairs of seeds. Other refusals are those of
            `{found.plan["elsewhere"]}`. The last column is what random ones share.
            """
        ),
        rows(["", "all", "attention", "MLP", "by chance"], lines),
    ]


def gaps(found: Found) -> list[str]:
    lines, short = [], []
    cases = found.beneath("gap/")
    for which, definition in product(("model", "base"), ("paper", "code")):
        if (case := cases.get(f"{which}/{definition}")) is None:
            continue
        label = f"`{found.plan['model' if which == 'model' else 'base']}`, {definition}"
        cells = [f"{one['value']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f})" for one in
                 case["layers"]]  # fmt: skip
        lines.append([label, *cells])
        values = [one["value"] for one in case["layers"]]
        sure = sum(not one["low"] <= 0 <= one["high"] for one in case["layers"])
        ends = (f"block {i}: {cells[i]}" for i in (np.argmin(values), np.argmax(values)))
        short.append([label, *ends, f"{sure} of {len(values)}"])
    if not lines:
        return []
    blocks = len(lines[0]) - 1
    header = ["", *(f"block {i}" for i in range(blocks))]
    if blocks > MANY:
        header, lines = ["", "least", "greatest", "blocks without 0 in the interval"], short
    return [
        "The angular gap in degrees, by the paper's definition and by its code's:",
        rows(header, lines),
        *_cosines(found, blocks),
    ]


def _cosines(found: Found, blocks: int) -> list[str]:
    """The mean cosines of which the gap is made: a table, or the picture of many blocks."""
    curves = {
        which: case["curves"]
        for which in ("model", "base")
        if "curves" in (case := found.cases.get(f"gap/{which}/paper", {}))
    }
    if not curves:
        return []
    if blocks > MANY:
        return [
            f"![The gap and the mean cosines by block]({PICTURE})",
            paragraph(
                """
                The gap by block and, beneath it, the mean cosines of two normal prompts, of a
                harmful and a normal one, and of two harmful ones, with their intervals over rows.
                `attribute angular-gap` draws the same of any model.
                """
            ),
        ]
    lines = [
        [f"`{found.plan[which]}`, {pair}", *(spread(Estimate.from_json(one)) for one in row)]
        for which, own in curves.items()
        for pair, row in own.items()
    ]
    return [
        "The mean cosines of pairs of prompts, of which the gap is made:",
        rows(["", *(f"block {i}" for i in range(blocks))], lines),
    ]


def scaling(found: Found) -> list[str]:
    lines = []
    for name, case in found.beneath("scaling/").items():
        before, after = case["baseline"], case["scaled"]
        spreads = ", ".join(f"{alpha:g}: {s:.3f}" for alpha, s in case["alphas"][:3])
        more = f" … {len(case['alphas'])} tried" if len(case["alphas"]) > 3 else ""
        lines.append(
            [
                f"`{name}`",
                f"{case['first']} to {case['last']}, α {case['alpha']:g}",
                {True: "reached", False: "not reached", None: "α given"}[case["reached"]],
                f"{before['value']:.3f} → {after['value']:.3f}",
                *(_sweep(case["sweeps"][which]) for which in ("upper", "lower")),
                f"{spreads}{more}",
            ]
        )
    if not lines:
        return []
    header = ["", "interval", "the rule for α", "R_o", "upper bounds", "lower bounds",
              "α: standard deviation"]  # fmt: skip
    return [
        paragraph(
            """
            The scaling search over the whole window, of the benign rows: R_o is the mean
            probability of a refusal's first token, of the table's or of those that the model's own
            refusals begin with, or the share refused in 32 tokens. `code` leaves out attention's
            output matrix.
            """
        ),
        rows(header, lines),
    ]


def _sweep(row: list[list[float]]) -> str:
    if len(row) <= MANY:
        return ", ".join(f"{value:.3f}" for _, value in row)
    best = sorted(row, key=lambda one: -one[1])[:3]
    told = ", ".join(f"{value:.3f} at {int(bound)}" for bound, value in best)
    return f"highest of {len(row)}: {told}"


def openers(found: Found) -> list[str]:
    case = found.cases.get("openers")
    if case is None:
        return []
    table, learnt = (mean(np.array([case[name]])) for name in ("table", "learnt"))
    refused = mean(letters([found.cases["origin"]], "harmful", "r"))
    return [
        paragraph(
            f"""
            A refusal's first token, by the packaged table of openers, has {spread(table)} of the
            probability on {len(case["table"])} harmful prompts, of which the model
            refuses {percent(refused)}; with the first tokens of its own refusals of the calibration
            rows, as SCANS takes them (Cao et al., 2408.11491, Sec. 3), {spread(learnt)}.
            `learnt-first-token` asks for those.
            """
        )
    ]


def noise(found: Found) -> list[str]:
    cases = found.beneath("noise/")
    if not cases:
        return []
    intervals = list(dict.fromkeys(name.rpartition("/")[0] for name in cases))
    lengths = [f"{one:g}" for one in found.plan["noise"]]
    lines = []
    for interval in intervals:
        own = [case for name, case in cases.items() if name.startswith(f"{interval}/")]
        cells = []
        for length in lengths:
            each = np.array([values for case in own for values in case[length]], dtype=float)
            one = mean(each)
            cells.append("no numbers" if one.value is None else spread(one))
        lines.append([interval.replace("-", " to "), *cells])
    origin = np.array([next(iter(cases.values()))["origin"]])
    count = len(found.plan["directions"])
    return [
        paragraph(
            f"""
            Noise in one interval of blocks, in each as long as noise in all of the model at that
            coefficient: the mean probability of a refusal's first token on
            {origin.shape[1]} harmful prompts (`{found.plan["objective"]}`), both signs of
            {count} direction{"s" if count > 1 else ""}. Without noise it is {spread(mean(origin))}.
            `safebasin scan MODEL --blocks 0-1` draws the landscape of such noise.
            """
        ),
        rows(["blocks", *(f"at {one}" for one in lengths)], lines),
    ]
