"""The section of docs/what-predicts.md on checkpoints of a real model."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

from page_text import interval, number, paragraph, rows

from safebasin.prediction.analysis import MEASURES

RESULT = Path(__file__).parent / "results" / "what_predicts_real.json"


def read(path: Path = RESULT) -> Any:
    """The committed result; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def on_a_real_model(toy: Any, real: Any) -> list[str]:
    """Whether the toy's ranking of measures holds; `toy` is the view of all its checkpoints."""
    if real is None:
        return []
    design, checkpoints = real["design"], real["checkpoints"]
    wanted = len(design["taught"]) * len(design["seeds"])
    minutes = sum(sum(row["cpu_seconds"].values()) for row in checkpoints) / 60
    own = [
        [
            str(row["taught"]),
            str(row["seed"]),
            *(number(row["before"][name], digits) for name, digits in COLUMNS.items()),
            f"{100 * row['after']['harmful'][0]['keyword_asr']:.0f} %",
        ]
        for row in checkpoints
    ]
    return [
        "## On a real model",
        paragraph(
            f"""
            {len(checkpoints)} of {wanted} alignments of
            [SmolLM2-135M-Instruct](real-model.md): LoRA on {design["rows"]} refusals and as many
            answers of its own, after {listed(design["taught"])} epochs, by {len(design["seeds"])}
            seeds. Measured before, on AdvBench's first {design["prompts"]} prompts along one
            direction of {design["steps"] + 1} points to {design["radius"]:g}, answers of
            {design["tokens"]} tokens; then tuned on ten published openers, with no harmful answer,
            for {design["epochs"]} epochs, and asked the {design["test"]} prompts that follow, whose
            ASR is the outcome. `make study-real`, {minutes:.0f} minutes of processor time.
            """
        ),
        *compared(toy, real),
        rows(["epochs", "seed", *(NAMES[name] for name in COLUMNS), "ASR after"], own),
        paragraph(
            f"""
            A row has no interval: the measures are of {design["prompts"]} prompts, the ASR after of
            {design["test"]}. The worst-case length was not measured: its search takes gradients of
            the whole model.
            """
        ),
    ]


def compared(toy: Any, real: Any) -> list[str]:
    """The correlations beside the toy's, where there are enough checkpoints for any."""
    if real["analysis"] is None:
        return [f"{len(real['checkpoints'])} checkpoints are too few for a correlation."]
    found = real["analysis"]["measures"]
    lines = [
        [
            MEASURES[name],
            interval(toy[name]),
            interval(one),
            "-" if one["adjusted"] is None else f"{one['adjusted']:.3f}",
        ]
        for name, one in found.items()
    ]
    return [
        verdict(toy, found),
        rows(["measure", "toy, all, harmful", "real", "p, corrected"], lines),
        paragraph(
            f"""
            Rank correlations of {len(real["checkpoints"])} points have wide intervals, and these
            are too narrow still: the checkpoints of one training are alike. They span weak and
            strong alignment, which makes every measure look good, plain ASR among them.
            """
        ),
    ]


COLUMNS = {"plain_asr": 2, "first_token": 2, "visage": 1, "width": 3, "area": 2}
NAMES = {**MEASURES, "plain_asr": "plain ASR"}


def verdict(toy: Any, found: Any) -> str:
    """Whether the order of the measures is the toy's, and whether that can be told at all."""
    known = [name for name, one in found.items() if one["value"] is not None]
    if len(known) < 2:
        return "Nothing can be said of the order: the measures or the ASR do not vary."
    here, there = (sorted(known, key=lambda n, v=view: v[n]["value"]) for view in (found, toy))
    pairs = list(combinations(known, 2))
    alike = sum(
        (found[a]["value"] - found[b]["value"]) * (toy[a]["value"] - toy[b]["value"]) > 0
        for a, b in pairs
    )
    apart = sum(
        found[a]["high"] < found[b]["low"] or found[b]["high"] < found[a]["low"] for a, b in pairs
    )
    sure = [n for n in known if found[n]["adjusted"] < 0.05 and found[n]["value"] < 0]
    shown = f"{listed([MEASURES[n] for n in sure])} predict" if sure else "no measure is shown to"
    if len(sure) == 1:
        shown = f"{MEASURES[sure[0]]} predicts"
    return paragraph(
        f"""
        **Does the toy's ranking hold?** Here {shown}{"" if sure else " predict"} after correction.
        Best first the order is {listed([MEASURES[n] for n in here])}; on the toy it is
        {listed([MEASURES[n] for n in there])}. {alike} of {len(pairs)} pairs of measures stand in
        the same order, and the intervals of {apart} of them are apart, so the order among the
        measures here is {"in part" if apart else "not"} established by this.
        """
    )


def listed(values: list[Any]) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
