"""What the page on speed says of the time from the command to the plan."""

from __future__ import annotations

from statistics import median
from typing import Any

AIM = 6.0
"""Seconds to the plan of a model of 135 million parameters on a quiet machine."""

QUIET = 1.15
"""A round was on a quiet machine where the loop around it took at most so often the least."""


def plan_seconds(found: Any, command: str) -> list[str]:
    """The section, with the `command` that measures it again."""
    times = found["seconds"]
    most = QUIET * min(times["loop"])
    quiet = [i for i, spent in enumerate(times["loop"]) if spent <= most]

    def told(name: str) -> str:
        all_of, some = times[name], [times[name][i] for i in quiet]
        whole = f"{median(all_of):.1f} ({min(all_of):.1f} to {max(all_of):.1f})"
        return f"{whole} | {median(some):.1f} ({min(some):.1f} to {max(some):.1f})"

    reached = median(times["time"][i] for i in quiet) <= AIM
    rows = [
        f"| the plan, with its time | {told('time')} |",
        "| the run's name, for which all of a direction is drawn and the model's files are read | "
        f"{told('run')} |",
        f"| the end of the dry run | {told('end')} |",
    ]
    return [
        "## From the command to the plan",
        f"`safebasin scan MODEL {found['asked']}` of {found['model']}, {len(times['time'])} times, "
        "each a process of its own in an empty folder, by what was compiled before; seconds, "
        f"medians and ranges. On {found['machine'].split(', ')[1]} that have neighbours a loop of "
        f"additions in Python took {min(times['loop']):.2f} to {max(times['loop']):.2f} s around "
        f"them: as quiet count the {len(quiet)} rounds where it took at most {QUIET} times the "
        f"least. Aimed at were {AIM:.0f} s on a quiet machine: "
        f"{'reached' if reached else 'missed'}.",
        command,
        "\n".join(["| until | all rounds | quiet rounds |", "|---|---|---|", *rows]),
        "About half of it is importing torch and transformers. The rest reads the model, holds the "
        "packed passes against the model's own forward, copies the weights into oneDNN's order and "
        "answers a few prompts with up to 12 tokens.",
    ]
