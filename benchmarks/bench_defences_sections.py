"""Sections of docs/bench-defences.md: over-refusal, prefilled answers, a real model, and limits."""

from __future__ import annotations

from typing import Any

from bench_defences_claims import CLAIMS, difference, verdict
from bench_defences_rows import (
    MAIN,
    REST,
    at_the_end,
    balanced,
    command,
    counted,
    failures,
    listed,
    points,
    reached,
    summarised,
    table,
)
from bench_defences_steering import steered_model
from page_text import paragraph, rows
from real_found import aligned_model

from safebasin.defence_bench.measuring import BEYOND
from safebasin.defence_bench.methods import FROZEN_SHARE, FULL_RATE

STEERED = {
    "over_refusal": ("over-refusal %", 100, ".0f"),
    "asr": ("ASR %", 100, ".0f"),
    "complied": ("complied %", 100, ".0f"),
    "incoherent": ("incoherent %", 100, ".0f"),
    "contrast": ("contrast", 1, ".2f"),
    "kl": ("KL, nats", 1, ".3f"),
    "capability": ("capability %", 100, ".0f"),
    "parameters": ("numbers", 1, ".0f"),
}


def over_refusal(over: Any, steered: Any = None) -> list[str]:
    """What SCANS is for: a fine-tune after which benign requests are refused.

    steered  the result of the packaged model that over-refuses, where it was measured
    """
    if over is None:
        return []
    over = balanced(over)
    whole, cells, claim = summarised(over), over["cells"], CLAIMS["scans"]

    def less(other: str, key: str = "over_refusal") -> str:
        return points(difference(cells, "scans", other, key, lambda tune: True))

    against = ", ".join(f"{less(other)} against `{other}`" for other in ("none", *claim.controls))
    return [
        "## Over-refusal",
        paragraph(
            f"""
            The fine-tune `over-refusing` is the one that made the packaged model
            `testbed:over-refusing`, here with {counted(whole["seeds"], "seed")}: it learns refusals
            of harmful requests, and of benign ones of every other category. It attacks nothing;
            what is asked is which defence takes over-refusal away again.
            {over["settings"]["limit"]} prompts of each kind.
            """
        ),
        f"```text\n{command(over)}\n```",
        paragraph(
            f"""
            The claim of `scans`: {claim.text} Measured, over-refusal in points: {against}; ASR
            {less("none", "asr")} against `none`. Vectors of the same length in a drawn direction,
            or the same vectors the other way, could have refuted it by doing as well.
            So: **{verdict(cells, "scans", lambda tune: True)}**. {lowered(cells)}
            """
        ),
        table(whole["rows"], "over-refusing", STEERED),
        *failures(whole),
        *steered_model(steered),
    ]


def lowered(cells: Any) -> str:
    """The methods under which over-refusal is surely lower, pair by pair."""
    every = {
        name: difference(cells, name, "none", "over_refusal", lambda tune: True)
        for name in dict.fromkeys(cell["defence"] for cell in cells)
    }
    named = [f"`{name}` {points(one)}" for name, one in every.items() if (one.high or 0.0) < 0]
    if not named:
        return "Under no method is it surely lower than without one."
    return (
        f"Surely lower than without a defence is it under {listed(named)}; a method that undoes "
        "what a fine-tune changed undoes this one, too."
    )


def depth(deep: Any) -> list[str]:
    """What DeRTa is for: answers that have begun to comply, at displaced weights."""
    if deep is None:
        return []
    asked, models = deep["asked"], deep["models"]
    places = models["aligned"][0]["alpha"]
    chosen = [i for i, alpha in enumerate(places) if i % 2 == 0 or alpha == 0]
    lines = [
        [
            f"`{name}`",
            str(one["depth"]),
            *(_share(one, i) for i in chosen),
        ]
        for name, own in models.items()
        for one in own
    ]
    at = {
        name: [one["value"][places.index(0.0)] for one in own if one["depth"]]
        for name, own in models.items()
    }
    low, high = (100 * end(at["derta"]) for end in (min, max))
    holds = "holds here" if high < 50 < 100 * min(at["aligned"]) else "does not hold here"
    return [
        "## DeRTa, by depth and displacement",
        paragraph(
            f"""
            DeRTa was published against answers that are made to begin harmfully. Here the first
            words of the grammar's own complying answer stand there already ({asked["limit"]}
            requests of {asked["rows"]}, DeRTa learnt from another), and the weights move along
            {len(asked["seeds"])} random directions; ASR in percent, its interval over directions.
            Undisplaced, the aligned model goes on from a first word in
            {100 * at["aligned"][0]:.0f} % of the answers; after DeRTa {low:.0f} to {high:.0f} % do,
            by depth. The paper's claim, that such a model turns back anywhere, {holds}; the aligned
            model could have refuted it. `benchmarks/derta_depth.py` measures it.
            """
        ),
        rows(["model", "words", *(f"{places[i]:+g}" for i in chosen)], lines),
    ]


def _share(one: Any, i: int) -> str:
    value, low, high = (100 * one[end][i] for end in ("value", "low", "high"))
    return f"{value:.0f} ({low:.0f} to {high:.0f})"


def on_a_real_model(real: Any) -> list[str]:
    if real is None:
        return []
    whole = summarised(real)
    columns: dict[str, tuple[str, float, str]] = {**MAIN, **REST}
    return [
        "## On a real model",
        paragraph(
            f"""
            The same command on {aligned_model(real["model"]["fingerprint"])}, whose fine-tunes
            are made of published first words of complying answers: {whole["measured"]} of
            {len(whole["defences"]) * len(whole["tunes"]) * whole["seeds"]} cells,
            {counted(whole["seeds"], "seed")}, {real["settings"]["limit"]} prompts a set. What fewer
            seeds have met has a wider interval, or none.
            """
        ),
        f"```text\n{command(real)}\n```",
        *(f"{tune}:\n\n{table(whole['rows'], tune, columns)}" for tune in whole["tunes"]),
        *same_size(real),
        *failures(whole),
    ]


def same_size(real: Any) -> list[str]:
    """Frozen blocks against as many others, each trained to the loss of the plain fine-tune."""
    frozen = [c for c in real["cells"] if c["defence"].startswith("sppft") and not c["failed"]]
    if len({cell["defence"] for cell in frozen}) < 2:
        return []
    told = [
        f"`{c['defence']}`, seed {c['seed']}, {100 * c['attack'][-1]['asr']:.0f} % at a loss of "
        f"{c['loss']['own_rows']:.3f} after {counted(c['epochs'], 'epoch')}"
        for c in frozen
    ]
    bare = next(c["loss"]["own_rows"] for c in real["cells"] if c["defence"] == "none")
    return [
        paragraph(
            f"""
            As many frozen blocks at other places, each trained to the loss of the plain fine-tune,
            {bare:.3f}: ASR {listed(told)}. `sppft` is blocks {real["settings"]["blocks"]}. Where
            all are alike, neither the claim nor its opposite is shown: the attack is too strong.
            """
        )
    ]


def limits(result: Any, real: Any = None) -> list[str]:
    own = result["settings"]
    return [
        "## What it does not tell",
        "\n".join(
            [
                f"- {own['limit']} prompts of each kind, {own['line_limit']} on the lines: a share "
                "of none may be one of ten.",
                "- The packaged model is a toy that learns a fine-tune in a few steps; ranks of "
                "methods may be others on larger ones. Methods run by their authors' settings, but "
                "for `somf` (one pass, rate 0.1) and `derta` (100 rows, LoRA, 3 passes).",
                "- `sppft` and `frozen-weights` train to the loss of the plain fine-tune, up to "
                f"{own['matched']} times its epochs; " + reached(result),
                "- `frozen-weights` moves all other weights, where the plain fine-tune moves LoRA "
                "factors: it is to be held against `frozen-random` alone.",
                "- On the fine-tune `mixture` the defence of that name changes nothing.",
                f"- The way from the aligned model is followed to {BEYOND:g} times the change: "
                f"{at_the_end(result)} end there, and their margin is at least so much."
                + (f" On the real model it is {at_the_end(real)}." if real else ""),
                f"- `frozen-weights` keeps {100 * FROZEN_SHARE:.0f} % of each matrix, less what "
                f"other answers need most, and trains all others at {FULL_RATE:g} times LoRA's "
                "rate: both were tried on the packaged model alone.",
                *ablation(real),
            ]
        ),
    ]


def ablation(real: Any) -> list[str]:
    """How far the block of the attack by ablation suits another model than the packaged one."""
    if real is None:
        return []
    own = [c["ablation"] for c in real["cells"] if not c["failed"] and "asr" in c["ablation"]]
    low = [c for c in own if (c["complied"] or 0.0) < 0.5]
    return [
        f"- Of the real model block {real['settings']['ablated_block']} is ablated: after it "
        f"{len(low)} of {len(own)} defended models "
        "comply with less than half, by the outcome judge, although the keyword judge finds an ASR "
        f"of at least {100 * min(c['asr'] for c in own):.0f} %: text breaks, or refuses in other "
        "words. As an attack it is weak there, and a defence is not shown to withstand it."
    ]
