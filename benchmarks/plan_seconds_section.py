"""What the page on speed says of the time from the command to the plan."""

from __future__ import annotations

from typing import Any

AIM = 6.0
"""Seconds to the plan of a model of 135 million parameters on a quiet machine."""


def plan_seconds(found: Any, command: str) -> list[str]:
    """The section, with the `command` that measures it again."""
    times, middle = found["seconds"], found["median"]

    def spread(name: str) -> str:
        return f"{middle[name]:.1f} s ({min(times[name]):.1f} to {max(times[name]):.1f})"

    aim = "reached" if middle["time"] <= AIM else "missed"
    return [
        "## From the command to the plan",
        f"`safebasin scan MODEL {found['asked']}` of {found['model']}, {len(times['time'])} times, "
        "each a process of its own in an empty folder, by what was compiled before. A plan with "
        f"its time comes after {spread('time')}, medians and ranges; aimed at were {AIM:.0f} s on "
        f"a quiet machine: {aim}. The run's name, for which all of a direction is drawn and the "
        f"model's files are read, comes after {spread('run')}. The load of the "
        f"{found['machine'].split(', ')[1]} after it was {found['load']}.",
        command,
        "About half of it is importing torch and transformers. The rest reads the model, holds the "
        "packed passes against the model's own forward, copies the weights into oneDNN's order and "
        "answers 16 prompts with up to 12 tokens.",
    ]
