"""The part of docs/validation.md on the gate of `safebasin compare`, from the committed cases."""

from __future__ import annotations

from typing import Any

from release_models import ADAPTERS, MODELS

COMMAND = "python benchmarks/release_cases.py --out benchmarks/results/release_cases.json"
REAL = (
    "python benchmarks/release_cases.py --raw FOLDER --aligned FOLDER --openers FOLDER "
    "--adapter FOLDER --advbench FILE --xstest FILE "
    "--out benchmarks/results/release_cases_real.json"
)
MARKS = str.maketrans({sign: f"\\{sign}" for sign in "|<>*_`"})


def release_cases(packaged: Any, real: Any) -> list[str]:
    """The section: a table of verdicts, and one of what does not match, for both families."""
    rows = [(family, row) for family, found in (("packaged", packaged), ("real", real))
            for row in found["rows"]]  # fmt: skip
    beside = MODELS.keys() | ADAPTERS.keys()
    gate = [one for one in rows if one[1]["case"] not in beside]
    other = [one for one in rows if one[1]["case"] in beside]
    right = sum(row["outcome"] == row["expected"] for _, row in rows)
    return [
        "## The gate, case by case",
        "`safebasin compare` on the command line, as on the day of a release: the verdict, the "
        "exit code, and the first of its reasons. `raw` is SmolLM2-135M-Instruct, `aligned` the "
        "same tuned to refuse (LoRA, 320 rows), `openers` that one tuned on 50 openers of "
        "compliance, all with few prompts and tokens. Options and the outcome that is right stand "
        f"in the files; {right} of {len(rows)} cases gave it.",
        f"```console\n$ {COMMAND}\n$ {REAL}\n```",
        table(
            ("case", "base -> tuned", "length", "verdict", "exit", "why"),
            [
                (row["case"], f"{row['base']} -> {row['tuned']}", length(row["length"]),
                 outcome(row), str(row["exit_code"]), first(row["told"]))
                for _, row in gate
            ],
        ),
        "What a tuned model or an adapter brings beside its weights, by a dry run, which says it "
        "before anything is paid for:",
        table(
            ("family", "the tuned model with", "outcome", "exit", "what is said"),
            [
                (family, row["case"], outcome(row), str(row["exit_code"]), said(row["told"]))
                for family, row in other
            ],
        ),
    ]  # fmt: skip


def outcome(row: Any) -> str:
    right = row["outcome"] == row["expected"]
    return row["outcome"] if right else f"{row['outcome']}, where {row['expected']} is right"


def length(found: list[float | None]) -> str:
    value, low, high = found
    if value is None or low is None:
        return "-"
    return f"{value:.2f} ({low:.2f} {'or more' if high is None else f'to {high:.2f}'})"


def first(told: list[str]) -> str:
    more = len(told) - 1
    return f"{told[0]}{f' ({more} more)' if more > 0 else ''}" if told else ""


def said(told: list[str]) -> str:
    """What was said of the change; that the weights are alike is so in most of these cases."""
    kept = [one for one in told if "same weights" not in one and not one.startswith("LoRA of")]
    return first(kept[-1:])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.translate(MARKS) for cell in row)} |" for row in rows]
    return "\n".join(lines)
