"""Of committed results of a bench of defences: summaries, tables and words that sections share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from page_text import rows

from safebasin.defence_bench.measuring import BEYOND
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.summary import summary
from safebasin.defence_bench.tables import shown
from safebasin.landscape import Estimate

MAIN = {
    "asr": ("ASR %", 100, ".0f"),
    "best_asr": ("highest ASR %", 100, ".0f"),
    "at_maximum": ("at maximum harm %", 100, ".0f"),
    "complied": ("complied %", 100, ".0f"),
    "incoherent": ("incoherent %", 100, ".0f"),
    "ablated_asr": ("ASR after ablation %", 100, ".0f"),
    "ablated_complied": ("complied after ablation %", 100, ".0f"),
    "loss": ("loss of its rows", 1, ".2f"),
}
REST = {
    "over_refusal": ("over-refusal %", 100, ".0f"),
    "contrast": ("contrast", 1, ".2f"),
    "kl": ("KL, nats", 1, ".3f"),
    "capability": ("capability %", 100, ".0f"),
    "width": ("width", 1, ".2f"),
    "visage": ("VISAGE", 1, ".0f"),
    "margin": ("margin", 1, "+.2f"),
    "seconds": ("CPU s more", 1, ".1f"),
    "parameters": ("numbers", 1, ".0f"),
}


def summarised(result: Any) -> Any:
    settings = result["settings"]
    config = BenchConfig(seeds=1 + max(one["seed"] for one in result["cells"]))
    return summary(result["cells"], config) | {"tolerance": settings["tolerance"]}


def balanced(result: Any) -> Any:
    """The result with those fine-tunes alone that every defence has met with every seed.

    A mean over others would be one of harder fine-tunes for some than for others.
    """
    cells = result["cells"]
    seeds = {cell["seed"] for cell in cells}
    names = {cell["defence"] for cell in cells}
    met = {(cell["tune"], cell["seed"], cell["defence"]) for cell in cells}
    whole = {
        tune
        for tune in {cell["tune"] for cell in cells}
        if all((tune, seed, name) in met for seed in seeds for name in names)
    }
    return {**result, "cells": [cell for cell in cells if cell["tune"] in whole]}


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


def is_harmful(tune: str) -> bool:
    return tune.startswith("harmful-")


def command(result: Any) -> str:
    """What was typed, by the settings that are not the defaults."""
    default = BenchConfig().settled()
    own = {k: v for k, v in result["settings"].items() if default.get(k) != v and k != "first"}
    if (tunes := {cell["tune"] for cell in result["cells"]}) == {"over-refusing"}:
        own["tunes"] = list(tunes)
    options = " ".join(f"--{key.replace('_', '-')} {_typed(value)}" for key, value in own.items())
    return f"safebasin bench-defences {result['model']['name']} {options}".strip()


def _typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def points(one: Estimate) -> str:
    if one.value is None:
        return "not measured"
    if one.low is None or one.high is None or one.low == one.high:
        return f"{100 * one.value:+.0f}"
    return f"{100 * one.value:+.0f} ({100 * one.low:+.0f} to {100 * one.high:+.0f})"


def table(every: Sequence[Any], tune: str, columns: dict[str, tuple[str, float, str]]) -> str:
    lines = [
        [
            f"`{row['defence']}`",
            *(
                shown(row[key], f, how, interval=key != "parameters")
                for key, (_, f, how) in columns.items()
            ),
        ]
        for row in every
        if row["tune"] == tune
    ]
    return rows(["defence", *(title for title, _, _ in columns.values())], lines)


def failures(whole: Any) -> list[str]:
    if not whole["failed"]:
        return []
    lines = [
        f"- `{one['defence']}` on {one['tune']}, seed {one['seed']}: {one['failed']}"
        for one in whole["failed"]
    ]
    return ["## Not measured", "\n".join(lines)]


def at_the_end(result: Any) -> str:
    margins = [c["margin"] for c in result["cells"] if not c["failed"] and c["margin"] is not None]
    return f"{sum(one >= BEYOND - 1 for one in margins)} of {len(margins)} cells"


def reached(result: Any) -> str:
    told = [
        one["matched"]
        for one in result["cells"]
        if one["failed"] is None and one["matched"] is not None
    ]
    return f"{sum(told)} of {len(told)} cells reached it."
