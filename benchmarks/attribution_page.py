"""Writes docs/attribution.md from the committed result.

python benchmarks/attribution_page.py > docs/attribution.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from attribution_claims import table
from attribution_numbers import kl, less, letters, mean, of_seeds
from page_text import paragraph, rows

from safebasin.landscape import Estimate

RESULT = Path(__file__).parent / "results" / "attribution.json"
KINDS = {
    "difference": "safety without utility",
    "random": "as many, random",
    "reverse": "utility without safety",
    "sequential": "safety without utility, in order",
    "top": "top of safety",
    "top-random": "as many, random",
}
CONTROL = {"difference": "random", "reverse": "random", "sequential": "random", "top": "top-random"}


class Found:
    """The cases of a result, by what they are of."""

    def __init__(self, result: Any) -> None:
        self.plan, self.cases = result["plan"], result["cases"]

    def seeds(self, kind: str, method: str, setting: str) -> list[Any]:
        """The cases of every calibration seed that was measured."""
        head = f"{kind}/{method}/{setting}/"
        return [case for name, case in self.cases.items() if name.startswith(head)]

    def paired(self, kind: str, other: str, method: str, setting: str) -> tuple[list[Any], ...]:
        """The cases of two kinds, of the seeds that both were measured with."""
        one, two = (f"{name}/{method}/{setting}/" for name in (kind, other))
        seeds = [name[len(one) :] for name in self.cases if name.startswith(one)]
        both = [seed for seed in seeds if f"{two}{seed}" in self.cases]
        return tuple([self.cases[f"{head}{seed}"] for seed in both] for head in (one, two))

    def settings(self, kind: str, method: str) -> list[str]:
        head = f"{kind}/{method}/"
        names = [name[len(head) :] for name in self.cases if name.startswith(head)]
        return list(dict.fromkeys(name.rpartition("/")[0] for name in names))

    def beneath(self, head: str) -> dict[str, Any]:
        return {k[len(head) :]: case for k, case in self.cases.items() if k.startswith(head)}


def page(result: Any) -> str:
    """The whole page as Markdown."""
    found = Found(result)
    plan, origin = found.plan, found.cases["origin"]
    parts = [
        "# Where safety lives: weights, ranks, heads and layers",
        paragraph(
            """
            Published methods locate the part of a model that carries its refusals. Here is what
            each finds in the packaged model, and what the model does without it, beside random
            parts of the same size. This page is generated from
            [the result](../benchmarks/results/attribution.json) by
            `benchmarks/attribution_page.py`; `make attribution` measures it anew, in some minutes
            on one core. [extending](extending.md#an-attribution) has the methods in Python.
            """
        ),
        paragraph(
            f"""
            Measured: `{plan["model"]}`, {len(plan["seeds"])} calibration seeds of {plan["rows"]}
            rows each of `{plan["safety"]}` (refusals) and `{plan["utility"]}` (help);
            {len(origin["harmful"])} harmful and {len(origin["benign"])} benign prompts, a seeded
            sample of each packaged set; greedy answers of up to {plan["tokens"]} tokens in float32.
            ASR is by the paper's keywords (`llm-landscape`), the three outcomes by `outcome`. KL is
            of {plan["everyday_limit"]} everyday prompts, in nats a token. Every interval is at
            95 %, over prompts and seeds. The model itself: ASR
            {percent(mean(letters([origin], "keywords", "c")))}, over-refusal
            {percent(mean(letters([origin], "benign", "r")))}.
            """
        ),
        "## The claims",
        table(found),
        "![How much of each matrix is in the set](images/attribution.png)",
        paragraph(
            f"""
            The share of each matrix that Wanda puts into the set of safety without utility, top
            {100 * plan["shares"][-1]:g} % of every matrix, seed {plan["seeds"][0]}.
            """
        ),
        "## Commands",
        COMMANDS,
        "## Weights (Wei et al., 2402.05162)",
        WEIGHTS,
        *(effects(found, method, name) for method, name in (("snip", "SNIP"), ("wanda", "Wanda"))),
        *(
            ["## Ranks (Wei et al.)", RANKS, effects(found, "actsvd", "ActSVD")]
            if found.settings("difference", "actsvd")
            else []
        ),
        "## Do they agree?",
        *agreement(found),
        "## Layers (Li et al., 2408.17003)",
        *gaps(found),
        *scaling(found),
        *noise(found),
        *heads(found),
        "## What was not measured",
        LIMITS + so_far(found),
    ]
    return "\n\n".join(parts) + "\n"


ASKED = "testbed:aligned --safety testbed:refusing"
COMMANDS = "\n\n".join(
    [
        "\n".join(
            [
                "```console",
                f"$ safebasin attribute snip {ASKED} --utility testbed:benign --rows 8 "
                "--share 0.03 --out runs/located",
                f"$ safebasin attribute scaling:first-token,1.3 {ASKED} --utility testbed:benign "
                "--rows 8 --out runs/interval",
                f"$ safebasin attribute units:heads,zero-ablation {ASKED} --rows 4 --share 0.2 "
                "--out runs/heads",
                "$ safebasin show runs/located",
                "```",
            ]
        ),
        paragraph(
            """
            The folder holds scores and the set as safetensors, a record and a picture; the same
            command reads it again. `--safety` takes what `finetune --data` does,
            `refused:practice:harmful` among it. With `--located runs/located`, `compare` says what
            a fine-tune changed block by block (tensors, norm, effective rank) and which share of
            the change lies in the located set, beside five random ones.
            """
        ),
    ]
)

WEIGHTS = paragraph(
    """
    SNIP by the paper's definition, Wanda at the tokens of answers. Safety without utility: the top
    share of every matrix by safety, less that by utility, as the authors' code takes it; the top of
    safety alone is of every row. What is taken is set to zero. *Random* takes as many weights of
    every matrix. The last column is the share of harmful prompts refused, less that with the random
    set, paired by prompt.
    """
)
RANKS = paragraph(
    """
    Settings are the ranks of safety and of utility: ΔW = (I - Π_u)·Π_s·W is removed, decomposed
    exactly and of the intact model; *in order* takes each block once those before it are changed,
    as the authors' code does. Random subspaces have the same ranks, before utility's is taken out.
    The top is all of Π_s·W.
    """
)
LIMITS = "\n".join(
    [
        "- **A larger model.** `benchmarks/attribution.py` with `--model` measures the aligned "
        "SmolLM2 of [real-model](real-model.md) with smaller budgets; its numbers are not here.",
        "- **Freezing** the located part while fine-tuning, and the probing baseline for heads.",
        "- **Attacks.** The paper's suffixes and sampled answers are not asked; ASR is of plain "
        "prompts.",
    ]
)


def so_far(found: Found) -> str:
    """Which calibration seeds a stopped measurement did not come to, as one more line."""
    plan = found.plan
    lacking = [
        f"ActSVD at {safety} and {utility}, seed {seed}"
        for safety, utility in plan["ranks"]
        for seed in plan["rank_seeds"]
        if f"difference/actsvd/{safety}-{utility}/{seed}" not in found.cases
    ]
    lacking += [f"scaling:{one}" for one in plan["scaling"] if f"scaling/{one}" not in found.cases]
    return (
        f"\n- **Of the plan**, this result was written before: {', '.join(lacking)}."
        if (lacking)
        else ""
    )


def percent(one: Estimate, digits: int = 1) -> str:
    if one.value is None:
        return "not judged"
    low, high = (one.value if end is None else end for end in (one.low, one.high))
    value, a, b = (f"{100 * v:.{digits}f}" for v in (one.value, low, high))
    return f"{value} % ({a} to {b})"


def points(one: Estimate) -> str:
    if one.value is None:
        return "not judged"
    low, high = (one.value if end is None else end for end in (one.low, one.high))
    return f"{100 * one.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def refused_less(found: Found, kind: str, method: str, setting: str) -> Estimate:
    """Harmful prompts refused, less those with the random control."""
    own, control = found.paired(kind, CONTROL[kind], method, setting)
    if not own:
        return Estimate(None)
    return less(*(letters(cases, "harmful", "r") for cases in (own, control)))


def effects(found: Found, method: str, name: str) -> str:
    lines = []
    for kind in KINDS:
        for setting in found.settings(kind, method):
            cases = found.seeds(kind, method, setting)
            taken = [case["taken"] / case["of"] for case in cases if "taken" in case]
            size = f", {100 * np.mean(taken):.2f} %" if taken else ""
            against = "" if kind not in CONTROL else points(
                refused_less(found, kind, method, setting)
            )  # fmt: skip
            shares = " / ".join(
                f"{100 * np.nanmean(letters(cases, 'harmful', letter)):.0f}" for letter in "rci"
            )
            divergence = mean(kl(cases), (0.0, np.inf))
            moved = "no numbers" if divergence.value is None else f"{divergence.value:.3f}"
            lines.append(
                [
                    f"{KINDS[kind]}, {setting.replace('-', ' and ')}{size}",
                    percent(mean(letters(cases, "keywords", "c"))),
                    shares,
                    percent(mean(letters(cases, "benign", "r"))),
                    percent(mean(letters(cases, "benign", "i"))),
                    moved,
                    against,
                ]
            )
    header = [
        f"{name}: what is removed, setting, share of weights",
        "ASR",
        "refused / complied / incoherent, %",
        "over-refusal",
        "benign incoherent",
        "KL",
        "refused, less random",
    ]
    return rows(header, lines)


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


PARTS = ("attention", "mlp")


def spread(one: Estimate) -> str:
    if one.value is None:
        return "-"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def gaps(found: Found) -> list[str]:
    lines = []
    for name, case in found.beneath("gap/").items():
        which, _, definition = name.partition("/")
        model = found.plan["model" if which == "model" else "base"]
        cells = [f"{one['value']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f})" for one in
                 case["layers"]]  # fmt: skip
        lines.append([f"`{model}`, {definition}", *cells])
    blocks = [f"block {i}" for i in range(len(lines[0]) - 1)]
    return [
        "The angular gap in degrees, by the paper's definition and by its code's:",
        rows(["", *blocks], lines),
    ]


def scaling(found: Found) -> list[str]:
    lines = []
    if not found.beneath("scaling/"):
        return []
    for name, case in found.beneath("scaling/").items():
        before, after = case["baseline"], case["scaled"]
        upper, lower = (
            ", ".join(f"{value:.3f}" for _, value in case["sweeps"][which])
            for which in ("upper", "lower")
        )
        spreads = ", ".join(f"{alpha:g}: {s:.3f}" for alpha, s in case["alphas"][:3])
        more = f" … {len(case['alphas'])} tried" if len(case["alphas"]) > 3 else ""
        lines.append(
            [
                f"`{name}`",
                f"{case['first']} to {case['last']}, α {case['alpha']:g}",
                {True: "reached", False: "not reached", None: "α given"}[case["reached"]],
                f"{before['value']:.3f} → {after['value']:.3f}",
                upper,
                lower,
                f"{spreads}{more}",
            ]
        )
    header = ["", "interval", "the rule for α", "R_o", "upper bounds", "lower bounds",
              "α: standard deviation"]  # fmt: skip
    return [
        paragraph(
            """
            The scaling search over the whole window, of the benign rows: R_o is the mean
            probability of a refusal's first token, or the share refused in 32 tokens. `code` leaves
            out attention's output matrix.
            """
        ),
        rows(header, lines),
    ]


def noise(found: Found) -> list[str]:
    cases = found.beneath("noise/")
    intervals = list(dict.fromkeys(name.rpartition("/")[0] for name in cases))
    lengths = [f"{one:g}" for one in found.plan["noise"]]
    lines = []
    for interval in intervals:
        own = [case for name, case in cases.items() if name.startswith(f"{interval}/")]
        cells = []
        for length in lengths:
            each = np.array([values for case in own for values in case[length]], dtype=float)
            cells.append(estimated(mean(each)))
        lines.append([interval.replace("-", " to "), *cells])
    origin = np.array([next(iter(cases.values()))["origin"]])
    return [
        paragraph(
            f"""
            Noise in one interval of blocks, in each as long as noise in all of the model at that
            coefficient: the mean probability of a refusal's first token on
            {origin.shape[1]} harmful prompts, both signs of {len(found.plan["directions"])}
            directions. Without noise it is {estimated(mean(origin))}: where the model refuses in
            other words than the table of openers knows, the number is low before anything is done,
            and tells little.
            """
        ),
        rows(["blocks", *(f"at {one}" for one in lengths)], lines),
    ]


def estimated(one: Estimate) -> str:
    return (
        "no numbers" if one.value is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
    )


def heads(found: Found) -> list[str]:
    case = found.cases.get("units")
    if case is None:
        return []
    lines = []
    for by in ("mean-ablation", "zero-ablation", "snip", "wanda"):
        flat = {(b, h): v for b, row in case[by].items() for h, v in enumerate(row)}
        ordered = sorted(flat, key=lambda one: -flat[one])
        lines.append([by, *(f"block {b}, head {h}: {flat[b, h]:.3g}" for b, h in ordered[:4])])
    ablated = np.array([v for row in case["mean-ablation"].values() for v in row])
    return [
        "## Heads",
        paragraph(
            f"""
            A head is the columns of attention's output matrix that it writes with; the authors'
            code zeroes other ones, which are no heads. By ablation the number is how much the mean
            probability of a refusal's first token falls without the head, by scores the sum over
            its columns. Of {len(ablated)} heads {int((ablated > 0.1).sum())} take more than .1 of
            that probability with them when they give their mean.
            """
        ),
        rows(["by", "first", "second", "third", "fourth"], lines),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args()
    print(page(json.loads(given.result.read_text(encoding="utf-8"))), end="")


if __name__ == "__main__":
    main()
