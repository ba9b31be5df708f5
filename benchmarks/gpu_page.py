"""The part of docs/speed.md that was measured on a GPU, from the committed results."""

from __future__ import annotations

from typing import Any

GIB = 2**30
LAYERS = 32
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
    first, second, operators, counter = found["runs"]
    return [
        "## On a GPU",
        f"One {machine['card']} ({machine['memory_bytes'] / GIB:.0f} GiB), CUDA {machine['cuda']}, "
        f"driver {machine['driver']}, Python {machine['python']}, {versions}. A copy moves "
        f"{copy / 1e12:.2f} TB/s, read and written; a product in bfloat16 runs at "
        f"{rate / 1e12:.0f} TFLOP/s. It was at hand for a quarter of an hour: each figure was "
        "taken once, and what was mended in between is named. Nothing was measured on another GPU.",
        "```console\n$ python benchmarks/gpu.py --out gpu.json\n```",
        "Models of two published shapes, their weights drawn at random in bfloat16, answer 80 "
        "prompts of 40 tokens with 128 tokens each. Such answers mean nothing and never end early: "
        "a verdict stop and drafts, which help real models, gain nothing here. `reference` answers "
        "a few of the prompts in batches of four, and its time is scaled to all of them. Seconds "
        "include displacing and the scores of all answers under the undisplaced model.",
        shape("llama-1b", first),
        shape("llama-8b", second),
        f"The first table was taken {first['when']}, the second {second['when']}.",
        few_operators(operators, second["llama-8b"], copy),
        "### Directions on the device",
        drawn(counter),
        "### Verdicts",
        verdicts(first["equality"]),
        "After the change to few operators, with which the packaged model runs as well, the same "
        "over 50 verdicts a way: "
        + ", ".join(
            f"{one['verdicts_that_differ']} of {one['verdicts']} differ ({name})"
            for name, one in operators["verdicts"].items()
        )
        + ".",
    ]


def shape(name: str, run: Any) -> str:
    rows = []
    for way in WAYS:
        part = run[name].get(way)
        if part is None:
            continue
        if way.endswith("reference"):
            rows.append(
                f"| {way} ({part['prompts']} prompts) | {part['seconds_of_all']:.1f} | 1 | | |"
            )
            continue
        used = f"{part['used_bytes'] / GIB:.1f} of {part['planned_bytes'] / GIB:.1f}"
        label = f"{way} ({part['points']} points)" if part["points"] > 1 else way
        if way.endswith("chosen"):
            label += f": {part['mode']}"
        rows.append(
            f"| {label} | {part['seconds']:.1f} | {part['times_the_reference']:.0f} | "
            f"{part['passes']} | {used} |"
        )
    head = "| way | seconds | times the reference | passes | GiB used of planned |"
    return "\n".join([f"### {NAMES[name]}\n", head, "|---" * 5 + "|", *rows])


def few_operators(found: Any, whole: Any, copy: float) -> str:
    after, before = (
        1000 * found[name]["seconds"] / found[name]["passes"]
        for name in ("few_operators", "own_forward")
    )
    busy = found["kernels_seconds"] / found["few_operators"]["passes"]
    speed = 2 * whole["displacing"]["weights"] / busy
    products = found["products_seconds"] / found["kernels_seconds"]
    return (
        "Then the layers came to run in few operators on a GPU as well: "
        f"{after:.1f} ms a pass after it and {before:.1f} before, displacing and recording "
        f"included ({found['when']}). The GPU is busy for {1000 * busy:.1f} ms of a pass, in which "
        f"it reads at least the weights: {speed / 1e12:.1f} TB/s, {speed / copy:.0%} of the copy; "
        f"products alone take {products:.0%} of it. The lines above were not measured again."
    )


def drawn(found: Any) -> str:
    def whole(part: str) -> float:
        return 1000 * LAYERS * float(found[f"{part}_seconds_of_a_layer"])

    rate = found["weights_of_a_layer"] / found["kernel_seconds_of_a_layer"] / 1e9
    return (
        "With `--law counter` one kernel draws a direction where it adds it, and stores none. "
        f"{found['when'].capitalize()}: {whole('kernel'):.0f} ms to displace along one direction "
        f"({rate:.0f} billion numbers a second), {whole('two_directions'):.0f} ms along two, "
        f"{whole('norm'):.0f} ms once for a direction's norms; {whole('torch'):.0f} ms by "
        f"PyTorch's operators, and {whole('copy'):.0f} ms for a copy. The bits are alike by "
        f"{found['bits_alike']}."
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
