"""The section of docs/attribution.md on the aligned SmolLM2 of docs/real-model.md."""

from __future__ import annotations

from typing import Any

from attribution_found import Found, asr, percent
from attribution_numbers import letters, mean
from attribution_sections import agreement, gaps, noise, openers, removals, scaling
from attribution_units_section import freezing_of, heads_of
from page_text import paragraph, rows
from real_found import aligned_model


def real_model(found: Found | None) -> list[str]:
    """Nothing where it was not measured."""
    if found is None or "origin" not in found.cases:
        return []
    plan, origin = found.plan, found.cases["origin"]
    minutes = sum(case.get("cpu", 0.0) for case in found.cases.values()) / 60
    return [
        "## A real model",
        paragraph(
            f"""
            Measured on {aligned_model(found.cases["measured"]["fingerprint"])}, in float32
            {_model(found)}:
            {_seeds(found)} of {plan["rows"]} rows each of `{plan["safety"]}` and
            `{plan["utility"]}`, which it was aligned with; {len(origin["harmful"])} harmful
            prompts, the first of `{plan["harmful"]}`, none of them located with or aligned with,
            and {len(origin["benign"])} benign ones of `{plan["benign"]}`, a seeded sample; up to
            {plan["tokens"]} tokens, KL of {plan["everyday_limit"]} everyday prompts. The model
            itself: ASR {asr([origin])}, over-refusal
            {percent(mean(letters([origin], "benign", "r")))}. {minutes:.0f} minutes of one core's
            time, by `make attribution-real` after `make real`
            ([the result](../benchmarks/results/attribution_real.json)); stopped, it goes on.
            """
        ),
        *(
            removals(found, method, name)
            for method, name in (("snip", "SNIP"), ("wanda", "Wanda"), ("actsvd", "ActSVD"))
            if found.settings("difference", method)
        ),
        *agreement(found),
        *gaps(found),
        *scaling(found),
        *openers(found),
        *noise(found),
        *heads_of(found),
        *freezing_of(found),
        *times(found),
    ]


def _model(found: Found) -> str:
    """Which aligned model it is: another one has another fingerprint."""
    case = found.cases["measured"]
    adapter = case.get("adapter")
    of = f"; {adapter[:12]} of its adapter, by `merge`" if adapter else ""
    return f"(fingerprint {case['fingerprint'][:12]}{of})"


def times(found: Found) -> list[str]:
    """What a whole command takes on the larger model."""
    told = []
    for method, case in found.beneath("command/").items():
        safety, utility = case["rows"]
        told.append(
            f"`safebasin attribute {method}` takes {case['processor']:.0f} s of processor time "
            f"with one thread ({case['seconds']:.0f} s on the clock of a machine that was busy "
            f"with other work) and {case['peak_gib']:.1f} GiB at most, from the start to the "
            f"written set, for {safety} rows of safety and {utility} of utility."
        )
    return [" ".join(told)] if told else []


def billion(size: Any) -> list[str]:
    """What a command takes on a model of a billion weights."""
    if size is None:
        return []
    names = {"billion": "the random one", "smollm2": "SmolLM2-135M"}
    lines = [
        [
            names[run["model"]],
            f"`{' '.join([run['method'], *run['options']])}`",
            f"`{run['code']}`",
            str(run["passes"]),
            f"{run['processor']:.0f} s",
            f"{run['seconds']:.0f} s",
            f"{run['peak_gib']:.1f} GiB",
        ]
        for run in size["runs"]
    ]
    shape = size["shape"]
    return [
        "## A model of a billion weights",
        paragraph(
            f"""
            A random Llama of {size["weights"] / 1e9:.2f} billion weights
            ({shape["num_hidden_layers"]} blocks, {shape["hidden_size"]} wide), in float32, beside
            SmolLM2: `attribute` from its start to the written set with {size["threads"]} thread, on
            a machine with {size["memory_gib"]:.0f} GiB that was busy with other work, by
            `benchmarks/attribution_size.py`. *Code* is the commit that was measured. Statistics
            that memory does not hold are gathered in further passes over the rows, which changes no
            bit of a set; before the first a log line tells how many, and with how much memory.
            """
        ),
        rows(
            [
                "model",
                "command",
                "code",
                "passes over rows",
                "processor time",
                "on the clock",
                "most memory",
            ],
            lines,
        ),
    ]


def _seeds(found: Found) -> str:
    """How many calibration seeds the sets of weights were located with."""
    methods = [m for m in ("snip", "wanda") if found.settings("difference", m)]
    counts = {
        len(found.seeds("difference", method, setting))
        for method in methods
        for setting in found.settings("difference", method)
    }
    low, high = min(counts, default=0), max(counts, default=0)
    told = f"{low}" if low == high else f"{low} to {high}"
    return f"{told} calibration seed{'s' if high != 1 else ''}"
