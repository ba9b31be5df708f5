"""The part of docs/speed.md that was measured on a GPU, from the committed results."""

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
        f"{rate / 1e12:.0f} TFLOP/s. Each figure was taken once, in {found['seconds']:.0f} s of "
        "one call. Nothing was measured on another kind of GPU, or on several.",
        f"```console\n$ {found['command']}\n```",
        f"Models of two published shapes, their weights drawn at random in bfloat16, answer "
        f"{found['prompts']} prompts of 40 tokens with 128 tokens each. Such answers mean nothing "
        "and never end early: a verdict stop and drafts, which help real models, gain nothing "
        "here. `reference` answers a few of the prompts in batches of four, after one that is not "
        "counted, and its time is scaled to all of them. Seconds include displacing and the scores "
        "of all answers under the undisplaced model. The last column is what a pass at least "
        "reads, over its median time, as a share of the copy.",
        *(shape(name, found[name], copy) for name in NAMES),
        kernel(found),
        "### Directions on the device",
        drawn(found),
        "### Verdicts",
        verdicts(found["equality"]),
        before(found["before"]),
    ]


def shape(name: str, run: Any, copy: float) -> str:
    rows = []
    for way in WAYS:
        part = run.get(way)
        if part is None:
            continue
        if way.endswith("reference"):
            rows.append(
                f"| {way} ({part['prompts']} prompts) | {part['seconds_of_all']:.1f} | 1 | | | |"
            )
            continue
        used = f"{part['used_bytes'] / GIB:.1f} of {part['planned_bytes'] / GIB:.1f}"
        label = f"{way} ({part['points']} points)" if part["points"] > 1 else way
        if way.endswith("chosen"):
            label += f": {part['mode']}"
        rows.append(
            f"| {label} | {part['seconds']:.1f} | {part['times_the_reference']:.0f} | "
            f"{part['passes']} | {used} | {part['least_bytes_per_second'] / copy:.0%} |"
        )
    head = "| way | seconds | times the reference | passes | GiB used of planned | of the copy |"
    return "\n".join([f"### {NAMES[name]}\n", head, "|---" * 6 + "|", *rows])


def kernel(found: Any) -> str:
    """What the attention of one query a row by a kernel changed."""
    way, name = "line, in place", "llama-8b"
    after, was = found[name][way], found["before"][name][way]
    took = 1e6 * found["kernel"]["seconds_of_a_layer"]
    shares = [
        part["least_bytes_per_second"] / copy["copy_bytes_per_second"]
        for part, copy in ((after, found["ceilings"]), (was, found["before"]["ceilings"]))
    ]
    return (
        "Where a row has one query, as in most passes, a kernel of our own reads the keys that the "
        f"row has, and no others: {took:.0f} µs a layer ({found['kernel']['what']}). A pass of "
        f"`{way}` takes {1000 * after['median_seconds_of_a_pass']:.1f} ms with it and "
        f"{1000 * was['median_seconds_of_a_pass']:.1f} without ({found['before']['what']}): "
        f"{shares[0]:.0%} of the copy's speed and {shares[1]:.0%}. In float32 PyTorch's attention "
        "is kept."
    )


def drawn(found: Any) -> str:
    part = found["llama-8b"]["displacing"]
    ours, stored = (
        1000 * part[name]["seconds_there_and_back"]
        for name in ("drawn by a counter", "drawn by torch, at every point")
    )
    return (
        "With `--law counter` one kernel draws a direction where it adds it, and stores none: "
        f"{ours:.0f} ms to displace {part['weights'] / 1e9:.1f} billion weights and to put them "
        f"back, {stored:.0f} ms where PyTorch draws the same number at every point, "
        f"{part['drawn by numpy, numbers per second and core'] / 1e6:.0f} million numbers a second "
        "by NumPy on one core. The bits are alike by kernel, PyTorch and NumPy. What holds the "
        "kernels to that, on that card: "
        + "; ".join(f"`{test}`, {result}" for test, result in found["tests"].items())
        + "."
    )


def before(found: Any) -> str:
    parts = []
    for model, ways in found["equality"].items():
        differ = sum(way["verdicts_that_differ"] for way in ways.values())
        count = sum(way["verdicts"] for way in ways.values())
        parts.append(f"{differ} of {count} verdicts differ ({model})")
    return f"In the run before, with twice as many prompts and tokens, {', '.join(parts)}."


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
