"""Reads the result of the real model's steps, and words its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "real.json"
KEYWORDS, READER, OUTCOME = "llm-landscape", "refusal", "outcome"


def share(one: Any, digits: int = 1) -> str:
    """An estimate of a share in per cent, with its interval."""
    if one is None or one["value"] is None:
        return "not defined"
    value, low, high = (f"{100 * one[end]:.{digits}f}" for end in ("value", "low", "high"))
    return f"{value} % ({low} to {high})"


def plain(one: Any, digits: int = 2) -> str:
    """An estimate as it is, with its interval."""
    if one is None or one["value"] is None:
        return "not defined"
    sign = "at least " if one.get("at_least") else ""
    bounds = [one[end] for end in ("low", "high")]
    within = " to ".join("-" if bound is None else f"{bound:.{digits}f}" for bound in bounds)
    return f"{sign}{one['value']:.{digits}f} ({within})"


def has(found: Any, *names: str) -> bool:
    return all(name in found["steps"] for name in names)


def judged(found: Any, step: str, judge: str = KEYWORDS) -> Any:
    """What a judge made of a scan."""
    return found["steps"][step]["result"]["judges"][judge]


def prompts_of(found: Any, step: str) -> str:
    return f"AdvBench's first {judged(found, step)['prompts']} prompts"


def counts(cell: Any) -> str:
    return f"{cell['refused']} / {cell['complied']} / {cell['incoherent']}"


def point_of(cell: Any) -> float:
    return next(iter(cell["point"].values()), 0.0)


def aligned_model(fingerprint: str) -> str:
    """What a page calls an aligned SmolLM2: that of docs/real-model.md, or one before it."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    if found["steps"]["line"]["asked"]["model"]["fingerprint"] == fingerprint:
        return "the aligned SmolLM2-135M-Instruct of [real-model](real-model.md)"
    return (
        "SmolLM2-135M-Instruct aligned by an adapter that was shipped before that of "
        "[real-model](real-model.md)"
    )
