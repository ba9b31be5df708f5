"""The sections of docs/attribution.md on heads, and on freezing what was located."""

from __future__ import annotations

from typing import Any

import numpy as np
from attribution_found import Found, asr, effects, percent, points
from attribution_heads import BY, REMOVED
from attribution_neurons import CHOSEN, RANDOM
from attribution_numbers import letters, mean
from numpy.typing import NDArray
from page_text import paragraph, rows

Array = NDArray[np.float64]
NAMES = {
    "probe": "highest by probe",
    "zero-ablation": "highest by ablation",
    "snip": "highest by SNIP",
    "wanda": "highest by Wanda",
    "random": "random",
}


def _ablated(every: Array) -> str:
    return (
        f"Of {len(every)} heads {int((every > 0.1).sum())} take more than .1 of the probability "
        "with them when they give their mean."
    )


def _probed(every: Array) -> str:
    return (
        f"{int((every == 1).sum())} of {len(every)} tell all prompts of the third apart by probe."
    )


def heads(found: Found) -> list[str]:
    """With what a head is and what its scores are; nothing where none was scored."""
    told = heads_of(found)
    if not told:
        return []
    return [
        "## Heads and neurons",
        paragraph(
            """
            A head is the columns of attention's output matrix that it writes with; the authors'
            code zeroes other ones, which are no heads. By ablation the number is how much the mean
            probability of a refusal's first token falls without the head, by scores the sum over
            its columns, by probe the accuracy on a third of the prompts of a logistic regression
            that tells harmful ones from others (the paper's baseline).
            """
        ),
        *told,
    ]


def heads_of(found: Found) -> list[str]:
    own = found.beneath("units/")
    scores = {by: own[by]["heads"] for by in BY if by in own}
    if not scores:
        return []
    if "probe" in found.cases:
        scores["probe"] = found.cases["probe"]["heads"]
    lines = []
    for by, own in scores.items():
        flat = {(b, h): v for b, row in own.items() for h, v in enumerate(row)}
        ordered = sorted(flat, key=lambda one: -flat[one])
        lines.append([by, *(f"block {b}, head {h}: {flat[b, h]:.3g}" for b, h in ordered[:4])])
    few = found.plan["ablated"]
    fewer = f" Heads were ablated on {few} prompts of each set."
    told = ["The scores of heads." + (fewer if few < found.plan["rows"] else "")]
    for by, of in (("mean-ablation", _ablated), ("probe", _probed)):
        if by in scores:
            every = np.array([v for row in scores[by].values() for v in row])
            told.append(of(every))
    return [
        " ".join(told),
        rows(["by", "first", "second", "third", "fourth"], lines),
        *_without(found),
        *_without_neurons(found),
    ]


def _without(found: Found) -> list[str]:
    lines = []
    for by in REMOVED:
        for count in found.plan["heads"]:
            own = found.seeds("heads", by, str(count))
            if own:
                against = "" if by == "random" else points(
                    found.less(f"heads/{by}/{count}", f"heads/random/{count}", "harmful", "r")
                )  # fmt: skip
                lines.append((f"{NAMES[by]}, {count}", own, against))
    if not lines:
        return []
    return [
        "What the model does without some heads, whose columns are zero:",
        effects("Heads that are removed", lines),
    ]


def _without_neurons(found: Found) -> list[str]:
    lines = []
    for by in CHOSEN:
        for share in found.plan.get("neurons") or ():
            if own := found.seeds("neurons", by, f"{share:g}"):
                heads = (f"neurons/{one}/{share:g}" for one in (by, RANDOM))
                against = "" if by == RANDOM else points(found.less(*heads, "harmful", "r"))
                count = f"{own[0]['chosen']} of {own[0]['neurons']}"
                lines.append((f"{NAMES[by]}, {count}", own, against))
    if not lines:
        return []
    return [
        paragraph(
            """
            The same of neurons, each a column of an MLP's output matrix, that give their mean over
            the prompts of utility instead. They are chosen by the sum of their weights' scores for
            safety (`units:neurons,snip` and `units:neurons,wanda`).
            """
        ),
        effects("Neurons that give their mean", lines),
    ]


def freezing(found: Found) -> list[str]:
    told = freezing_of(found)
    return ["## Freezing what was located (Wei et al., Sec. 4)", *told] if told else []


def freezing_of(found: Found) -> list[str]:
    plan, cases = found.plan.get("frozen"), found.beneath("frozen/")
    if not plan or not cases:
        return []
    lines = []
    for recipe in plan["recipes"]:
        settings = ["nothing/0", *(f"{kind}/{share:g}" for share in plan["shares"]
                                   for kind in ("located", "random"))]  # fmt: skip
        for setting in settings:
            own = found.seeds("frozen", recipe, setting)
            if own:
                lines.append([f"{recipe}, {_told(setting, own)}", *_frozen(own),
                              _apart(found, recipe, setting)])  # fmt: skip
    count = len(plan["seeds"])
    seeds = f"{count} seed{'s' if count != 1 else ''}"
    header = ["harmful rows, what is frozen", "ASR", "complied, by `outcome`", "over-refusal",
              "loss", "steps", "ASR after as many steps as with nothing frozen", "loss then",
              "complied, less random"]  # fmt: skip
    if not lines:
        return []
    return [
        paragraph(
            f"""
            `safebasin finetune {found.plan["model"]} --recipe {plan["recipes"][-1]} --data
            {plan["rows"]} --freeze-mask runs/located/mask.safetensors` trains all but a set of
            weights. Here it is the top of every matrix by {plan["method"].upper()} of safety, at
            the paper's shares, or as many random weights of each; {seeds} of rows, order
            and set. Where freezing makes learning slower, any frozen set seems to protect
            after as many steps. So all are trained until the loss of their rows is
            {plan["loss"]:g} nats a token or less at the end of an epoch (AdamW, {plan["rate"]:g},
            at most {plan["epochs"]} epochs); what was reached is told, with the least and the
            greatest.
            """
        ),
        rows(header, lines),
    ]


def _told(setting: str, cases: list[Any]) -> str:
    kind, _, _ = setting.partition("/")
    if kind == "nothing":
        return "nothing"
    share = 100 * float(np.mean([case["taken"] / case["of"] for case in cases]))
    return f"{'top of safety' if kind == 'located' else 'as many, random'}, {share:.1f} %"


def _frozen(cases: list[Any]) -> list[str]:
    # Where a frozen one took no more steps than the free one, it is asked once.
    then = [case.get("same_steps", case) for case in cases]
    same = all("same_steps" not in case for case in cases)
    return [
        asr(cases),
        percent(mean(letters(cases, "harmful", "c"))),
        percent(mean(letters(cases, "benign", "r"))),
        _range([case["loss"] for case in cases], ".3f"),
        _range([case["steps"] for case in cases], ".0f"),
        "the same" if same else asr(then),
        "the same" if same else _range([case["loss"] for case in then], ".3f"),
    ]


def _apart(found: Found, recipe: str, setting: str) -> str:
    kind, _, share = setting.partition("/")
    if kind != "located":
        return ""
    heads = (f"frozen/{recipe}/{one}/{share}" for one in ("located", "random"))
    return points(found.less(*heads, "harmful", "c"))


def _range(values: list[float], form: str) -> str:
    low, mid, high = (f(values) for f in (min, np.mean, max))
    return f"{mid:{form}} ({low:{form}} to {high:{form}})"
