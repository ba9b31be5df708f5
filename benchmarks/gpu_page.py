"""The part of docs/speed.md that was measured on a GPU, from the committed result."""

from __future__ import annotations

from typing import Any

GIB = 2**30
NAMES = {"llama-1b": "1 billion weights", "llama-8b": "8 billion weights"}
WAYS = (
    "one point, the reference",
    "one point, in place, nothing recorded",
    "one point, in place",
    "line, in place",
    "line, pool",
    "line, as chosen",
)


def gpu(found: Any) -> list[str]:
    """The paragraphs and tables of the section."""
    machine, ceiling = found["machine"], found["ceilings"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    copy, rate = ceiling["copy_bytes_per_second"], ceiling["bfloat16_operations_per_second"]
    return [
        "## On a GPU",
        f"One {machine['card']} ({machine['memory_bytes'] / GIB:.0f} GiB), CUDA {machine['cuda']}, "
        f"driver {machine['driver']}, Python {machine['python']}, {versions}. A copy moves "
        f"{copy / 1e12:.2f} TB/s, read and written; a product in bfloat16 runs at "
        f"{rate / 1e12:.0f} TFLOP/s. One run; nothing was measured on another GPU.",
        "```console\n$ PYTHONPATH=src python benchmarks/gpu.py --out gpu.json\n```",
        "Models of two published shapes, their weights drawn at random in bfloat16, answer prompts "
        "of 40 tokens with 128 tokens each. Such answers mean nothing and never end early: a "
        "verdict stop and drafts, which help real models, gain nothing here. `reference` answers "
        "a few of the prompts in batches of four, and its time is scaled to all of them.",
        *(shape(name, found, copy) for name in NAMES if name in found),
        "A pass is the time from one result to the next in the middle of the work. The least that "
        "it can read are the weights (in a pool with the direction) and the keys and values of its "
        "rows; beside it stands what that comes to, in a second, as a share of the copy.",
        "### Displacing",
        displacing(found),
        "### Verdicts",
        verdicts(found["equality"]),
    ]


def shape(name: str, found: Any, copy: float) -> str:
    rows = []
    for way in WAYS:
        part = found[name].get(way)
        if part is None or "error" in part:
            continue
        if way.endswith("reference"):
            rows.append(
                f"| {way} ({part['prompts']} prompts) | {part['seconds_of_all']:.1f} | 1 | | | |"
            )
            continue
        share = part["least_bytes_per_second"] / copy
        used = f"{part['used_bytes'] / GIB:.1f} of {part['planned_bytes'] / GIB:.1f}"
        label = f"{way} ({part['points']} points)" if part["points"] > 1 else way
        if way.endswith("chosen"):
            label += f": {part['mode']}"
        rows.append(
            f"| {label} | {part['seconds']:.1f} | {part['times_the_reference']:.0f} | "
            f"{1000 * part['median_seconds_of_a_pass']:.1f} | {share:.0%} | {used} |"
        )
    head = "| way | seconds | times the reference | ms a pass | of the copy | GiB used of planned |"
    return "\n".join([f"### {NAMES[name]}\n", head, "|---" * 6 + "|", *rows])


def displacing(found: Any) -> str:
    rows = []
    for name in (name for name in NAMES if name in found):
        part = found[name]["displacing"]
        for way, measured in part.items():
            if isinstance(measured, dict):
                seconds = measured["seconds_there_and_back"]
                rows.append(f"| {part['weights'] / 1e9:.1f} | {way} | {1000 * seconds:.0f} |")
    return "\n".join(
        [
            "All weights moved along one direction, and put back bit for bit:\n",
            "| billion weights | direction | ms there and back |",
            "|---|---|---|",
            *rows,
        ]
    )


def verdicts(equality: Any) -> str:
    rows = []
    for model, ways in equality.items():
        differ = sum(way["verdicts_that_differ"] for way in ways.values())
        otherwise = sum(way["answers_that_begin_otherwise"] for way in ways.values())
        count = sum(way["verdicts"] for way in ways.values())
        rows.append(f"| {model} | {len(ways)} | {count} | {differ} | {otherwise} |")
    return "\n".join(
        [
            "In float32 each way, with recorded passes and without, is held against the plain way: "
            "for the packaged model the one on the CPU.\n",
            "| model | ways | verdicts | that differ | answers that begin otherwise |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )
