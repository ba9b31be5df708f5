"""The part of docs/speed.md on a real model on a GPU, from the committed result."""

from __future__ import annotations

from typing import Any

MIB = 2**20
WAYS = (
    "reference, float32",
    "plain, float32",
    "plain, bfloat16",
    "fast, float32",
    "fast, bfloat16",
)


def real(found: Any) -> list[str]:
    """The paragraphs and the table of the section."""
    machine, asked = found["machine"], found["asked"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    plain = found["plain, float32"]
    points, verdicts = plain["points"], plain["points"] * plain["prompts"]
    whole = points * found["reference, float32"]["seconds_of_all"]
    return [
        "### A real model on it",
        f"SmolLM2-135M-Instruct with an adapter that makes it refuse (its SHA-256 begins with "
        f"{found['adapter'][:8]}), {points} points along one direction to ±{asked['radius']:g}, "
        f"{plain['prompts']} of AdvBench's prompts, {asked['max_new_tokens']} tokens, judged by "
        f"`llm-landscape`, once. {machine['card']}, {versions}. `reference` is one point of "
        f"{asked['reference_prompts']} prompts, its time scaled to the line. Verdicts are held "
        "against `plain, float32`; in bfloat16 no two ways agree on every token, and up to 2 % may "
        "differ.",
        f"```console\n$ {found['command']}\n```",
        "\n".join(
            [
                "| way | seconds | times the reference | peak, MiB | verdicts that differ |",
                "|---" * 5 + "|",
                *(row(name, found, whole, verdicts) for name in WAYS),
            ]
        ),
        "A model this small is bound by the calls of its operators, and not by the card: float32 "
        "takes as long as bfloat16.",
    ]


def row(name: str, found: Any, whole: float, verdicts: int) -> str:
    part = found[name]
    if name.startswith("reference"):
        return f"| {name} | {whole:.0f} | 1 | | |"
    differ = part["verdicts_that_differ"]
    return (
        f"| {name} | {part['seconds']:.1f} | {whole / part['seconds']:.0f} | "
        f"{part['used_bytes'] / MIB:.0f} | {differ} of {verdicts} ({differ / verdicts:.1%}) |"
    )
