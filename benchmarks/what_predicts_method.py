"""The sections of docs/what-predicts.md that say how it was done and what it does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from page_text import paragraph, rows

from safebasin.prediction.analysis import outcome


def method(found: Any) -> list[str]:
    design, analysis = found["design"], found["analysis"]
    before = design["before"]
    bases = [
        [
            base["name"],
            str(base["seed"]),
            str(base["shape"]["hidden"]),
            str(base["steps"]),
            str(sum(row["base"] == base["name"] for row in found["checkpoints"])),
        ]
        for base in design["bases"]
    ]
    plain = {"refusals": None, "frozen": True, "noise_training": 0.0, "noise_after": 0.0}
    kinds = []
    for name, plan in design["alignments"].items():
        own = [row for row in found["checkpoints"] if row["name"].endswith(f"-{name}")]
        changed = [f"{key} {plan[key]:g}" for key in ("steps", "rate", "share")] + [
            f"{key.replace('_', ' ')} {plan[key]}"
            for key, usual in plain.items()
            if plan[key] != usual
        ]
        kinds.append(
            [
                name,
                ", ".join(changed),
                mean_percent([row["before"]["plain_asr"] for row in own]),
                mean_percent(outcome(own, "harmful")) if own else "-",
                mean_percent([row["untuned"]["over_refusal"] for row in own]),
                mean_percent([row["untuned"]["capability"] for row in own]),
            ]
        )
    tunes = ", ".join(
        f"{tune['name']} ({' + '.join(str(count) for count in tune['rows'] if count)} rows, "
        f"{len(tune['seeds'])} training seeds)"
        for tune in design["tunes"]
    )
    hours = sum(sum(row["cpu_seconds"].values()) for row in found["checkpoints"]) / 60
    return [
        "## How it was done",
        "```console\n$ make study\n```",
        paragraph(
            f"""
            About {hours:.0f} minutes of processor time for the checkpoints and a quarter of an hour
            for the bases. Stopped at any moment, the same command goes on; the design is in
            `safebasin.prediction.design` and was fixed before the run. Strengths of the fine-tunes
            were chosen on pilot checkpoints of the packaged base with seeds of their own, so that
            not every ASR is 0 or 100 %: the paper's 50 and 100 harmful rows leave nothing to
            predict here, since 50 rows took every pilot checkpoint to 100 %.
            """
        ),
        "Bases, each aligned in every way below:",
        rows(["base", "seed", "hidden size", "steps", "checkpoints"], bases),
        "Alignments, with their mean plain ASR, ASR after the harmful fine-tunes, over-refusal and "
        "capability:",
        rows(
            ["alignment", "differs in", "plain ASR", "after", "over-refusal", "capability"], kinds
        ),
        paragraph(
            f"""
            Measured before, on {before["prompts"]} harmful dev prompts with the paper's keyword
            judge: VISAGE, width at a tolerance of 10 % and area along {len(before["seeds"])} random
            directions of {before["steps"] + 1} points; the effective length along the worst
            direction that {before["iterations"]} steps of gradient ascent found on
            {before["search"]} other prompts; the first-token score of the undisplaced model; and
            its plain ASR. Measured after, on {design["test_prompts"]} test prompts: topics and
            wordings of their own, so no prompt is on both sides. Fine-tunes are LoRA adapters by
            the testbed's recipe: {tunes}.
            """
        ),
        paragraph(
            f"""
            Checkpoints of one base are alike, so ranks are taken within each base and the
            coefficient is pooled over bases; the intervals are percentile ones of
            {analysis["bootstrap_samples"]} bootstrap samples of checkpoints within bases, and the
            test shuffles within bases {analysis["permutations"]} times, seed {analysis["seed"]}.
            That takes the checkpoints of one base as independent. The stricter test, and the range
            where one way of aligning is left out, do not; both were added when the result was
            known. A test of the statistics checks that p is uniform where nothing is to be found
            and that the intervals cover.
            """
        ),
    ]


def limits() -> list[str]:
    return [
        "## What this does not tell",
        "\n".join(
            [
                "- The testbed has a million parameters and a closed language. Which measure "
                "predicts for a real model cannot be read off it.",
                "- Four bases are few. The intervals speak of these four; another base may differ "
                "by more.",
                "- The checkpoints are one family of alignments. With others the spread, and so "
                "the correlation, would be another one: a wide range of quality makes every "
                "measure look good, which is why the well aligned ones are shown apart.",
                "- The fine-tunes are small LoRA adapters at one learning rate.",
                "- Here an answer is decided by its first word, the fine-tunes change that word, "
                "and the first-token score reads it, with openers known from the testbed's own "
                "grammar. A real model can turn later in its answer, and its openers are a guess.",
                "- Three directions and 40 prompts leave an error in each measure, which weakens "
                "its correlation. The first-token score and the plain ASR are cheap to measure "
                "more precisely, the worst case is a search that may miss.",
                "- A p-value above the limit is no proof that a measure does not predict.",
            ]
        ),
    ]


def mean_percent(values: Sequence[float] | Any) -> str:
    return f"{100 * float(np.mean(values)):.0f} %" if len(values) else "-"
