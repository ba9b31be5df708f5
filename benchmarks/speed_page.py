"""Writes docs/speed.md from the committed results.

python benchmarks/speed_page.py > docs/speed.md
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from gpu_page import gpu
from gpu_real_page import real as real_on_gpu
from plan_seconds_section import plan_seconds
from vllm_peer_page import peer

from safebasin.engines.fast.copies import PATIENCE, SHARE_OF_FREE, SURE
from safebasin.study.holding import HELD_SHARE

RESULTS = Path(__file__).parent / "results"

# ruff: noqa: E501 (rows of a table)
WAYS = """
| way | what it does |
|---|---|
| reference | the published procedure, computed again: batches of four, `generate` with sampling settings that leave one token, weights added up on the CPU and loaded anew at each point |
| plain | `--engine plain`: `generate` of transformers, all prompts of a point in one batch |
| in place | rows side by side in slots of one cache, without padding; a finished row makes room for the next |
| verdict stop | an answer ends where its verdict cannot change any more; for judges that declare when, such as `llm-landscape` |
| drafts | the answer at the nearest finished point and the row's own repetitions, verified in one pass |
| pool | rows of many points of a line in one batch, each with its own coefficient |
| default | what is expected to be fastest by a few passes measured at the start |
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [
        "# Speed and memory",
        "`safebasin scan` runs the fast engine. In float32 it gives the plain engine's answers "
        "token for token, up to where a verdict is decided; in bfloat16, where no two ways of "
        "computing agree on every token, at most 2 % of the verdicts differ from float32. Tests "
        "hold it to both, on the packaged model and on small models of several architectures.",
        "Models with sliding windows shorter than a row, recurrent layers, capped attention or "
        "encoders go to the plain engine, and the plan says so.",
        "The plain engine fills short rows up to the longest one, and a mask hides the "
        "filling. Not every model heeds the mask: what a recurrent layer keeps of a row "
        "holds the filling, too. So, once a model, a short row beside a long one is held "
        "against the same row alone, over the logits of a few tokens. Where they differ, "
        "only rows of one length share a batch, or none do, and the plan says which. Of "
        "tiny models with random weights, RWKV, RecurrentGemma, MiniMax' lightning "
        "attention, XLNet and positions of the kind `longrope` were found so; Mamba, "
        "Mamba-2, Falcon-Mamba, Jamba, Bamba, Zamba-2, Falcon-H1 and Nemotron-H heed it. "
        "Likelihoods, first-token scores, the KL of a comparison and guard models go by the"
        " same check.",
        "Where the undisplaced model's logits are no numbers, as in float16 that runs over,"
        " that is an error which names the model and the dtype; at displaced points such "
        "answers count as broken.",
        WAYS.strip(),
        "On a CPU in float32 and bfloat16 the layers of Llama, Mistral and Qwen 2 models run in half "
        "the operators that transformers takes for them; what comes out is held against the model's "
        "own forward at the start, and a hook or a replaced module sends the passes back to it. "
        "Products go to oneDNN where a measurement at the start finds it faster than BLAS, which it "
        "is on some processors by half. A second copy of the weights in the order that oneDNN reads "
        "saves more: of a small model it is made at each point, of a larger one after "
        f"{PATIENCE} passes at a point, or at once where the point before took {SURE} or answers may be as "
        "long; there it has to "
        f"take less than {SHARE_OF_FREE:.0%} of the free memory and be measured to be faster. Keys "
        "and values of a model in bfloat16 are kept in float32 on a CPU, where attention to one token "
        "is faster so.",
        "What lies between the products of those layers (norms, turns, attention, the gate) is "
        "compiled where Numba is installed, `pip install 'safebasin[cpu]'`, and torch's threads are "
        "those of GNU's OpenMP, as they are on Linux; otherwise torch's operators do it. Compiling "
        "takes a few seconds once and is kept on the disk. Of a large output layer in float32 the "
        "likeliest token is found by a copy in bfloat16, where the processor multiplies faster in it: "
        "a bound on its rounding leaves a few tokens, whose logits are computed again in float32, so "
        "that the token is the one that float32 finds.",
        *speed(read("engine_speed")),
        *cores(read("engine_speed_cores")),
        *wide(read("engine_speed_wide")),
        *real(read("real_speed"), read("real_speed_aligned")),
        *profile(read("real_profile")),
        *peer(
            read("vllm_peer"),
            {
                (aligned, dtype): read(f"vllm_peer_real{'_aligned' * aligned}{tail}")
                for aligned in (True, False)
                for dtype, tail in (("float32", ""), ("bfloat16", "_bfloat16"))
            },
        ),
        *plan_seconds(
            read("plan_seconds"),
            command("plan_seconds", " --model M --name smollm2 --advbench FILE"),
        ),
        *memory(read("engine_memory")),
        *scaling(read("engine_scaling")),
        *gpu(read("gpu")),
        *real_on_gpu(read("gpu_real")),
        SPREAD,
    ]
    return "\n\n".join(parts) + "\n"


def read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def command(name: str, more: str = "", result: str = "") -> str:
    run = f"python benchmarks/{name}.py{more} --out benchmarks/results/{result or name}.json"
    return f"```console\n$ {run}\n```"


def times(row: Any) -> str:
    """The first cells of a way's row: its name, seconds, ratio with its range, processor seconds."""
    low, high = row["times_faster_range"]
    return (
        f"{row['way']} | {median(row['seconds']):.1f} | {row['times_faster']:.1f} "
        f"({low:.1f} to {high:.1f}) | {median(row['cpu_seconds']):.1f}"
    )


def speed(found: Any) -> list[str]:
    header = "| way | seconds | times faster | processor seconds | times less | passes | tokens | peak memory, MiB | verdicts that differ |"
    rows = []
    for row in found["rows"]:
        rows.append(
            f"| {times(row)} | {row['times_less_work']:.1f} | {row['passes']} | {row['tokens']} | "
            f"{row['memory_mib']:.0f} | {row['verdicts_that_differ']} of {found['verdicts']} |"
        )
    return [
        "## One line of the packaged model",
        f"{found['points']} points x {found['prompts']} prompts, up to "
        f"{found['max_new_tokens']} tokens, one direction, float32, {found['machine']}, one thread, torch "
        f"{found['versions']['torch']}, transformers {found['versions']['transformers']}. "
        "Rounds go through all ways in turn; times are medians, ratios are taken inside each "
        "round (median, and the range over rounds). Passes, tokens and verdicts are exact.",
        command("engine_speed", f" --rounds {len(found['load'])}"),
        "\n".join([header, "|---" * 9 + "|", *rows]),
        f"The load of the two cores after each round was {', '.join(map(str, found['load']))}: above "
        "1 other work took part, which lengthens the times that passed.",
        "On a model this small a core is busy with arithmetic, so that fewer passes save less "
        "than their number says, and a pool costs more than it saves; where a pass is bound by "
        "reading weights, as on a GPU, they save more.",
    ]


def cores(found: Any) -> list[str]:
    return [
        "### On two cores",
        "The same line, with two threads for the reference and two processes of one thread for this "
        "package, as `safebasin scan` starts them by itself.",
        command("engine_speed", f" --cores 2 --rounds {len(found['load'])}", "engine_speed_cores"),
        short(found),
    ]


def wide(found: Any) -> list[str]:
    return [
        "### A line twice as long",
        f"{found['points']} points out to ±{found['edge']:g}, one thread: what lies beyond the "
        "basin is the larger part, and a stop at the plateau leaves most of it out.",
        command("engine_speed", f" --edge 1 --rounds {len(found['load'])}", "engine_speed_wide"),
        short(found),
    ]


def short(found: Any) -> str:
    rows = []
    for row in found["rows"]:
        rows.append(f"| {times(row)} | {row['verdicts_that_differ']} of {found['verdicts']} |")
    header = "| way | seconds | times faster | processor seconds | verdicts that differ |"
    return "\n".join([header, "|---" * 5 + "|", *rows])


REAL_AIM, LIMIT_AIM = 10, 1.5
"""How many times faster than the reference the fast engine was meant to be on a real model, and
how many times the limit it was meant to take at most."""


def _rounds(loads: list[float]) -> str:
    return (
        "1 round, the load after it"
        if len(loads) == 1
        else (f"medians of {len(loads)} rounds, the loads after them")
    )


def real(found: Any, aligned: Any) -> list[str]:
    """A real model as it is, whose answers are long, and aligned, whose answers are short."""
    return [
        "## A real model",
        f"{found['points']} displaced points of {found['model']}, {found['prompts']} of AdvBench's "
        f"prompts, {found['max_new_tokens']} tokens, {found['machine']}, torch "
        f"{found['versions']['torch']}, transformers {found['versions']['transformers']}; "
        f"{_rounds(found['load'])} {', '.join(map(str, found['load']))}. The "
        "limit is the time of the products alone that the tokens need, at the rate that products of "
        "as many rows reached in the same process, by the weights or by a copy in oneDNN's order, "
        "whichever was faster; it counts every prompt whole and every answer to its last token, so that "
        "an engine which reads what prompts share once, or finds tokens by bfloat16, may take less. "
        f"{reached(found)} {limited(found)} {bfloat16(found)}",
        _real_command(found, ""),
        _real_table(found),
        f"The same by {aligned['model']} by [its adapter](real-model.md): most answers are "
        "refusals, which end early in every way of asking; the limit counts them to the last token all "
        f"the same. The load after it was {', '.join(map(str, aligned['load']))}. {reached(aligned)} "
        f"{bfloat16(aligned)} M is the folder of that model.",
        _real_command(aligned, "_aligned"),
        _real_table(aligned),
    ]


def reached(found: Any) -> str:
    """Whether the aim was reached by the fast engine in each dtype, and by how much not."""
    told = ", ".join(
        f"{'reached' if times >= REAL_AIM else 'missed'} in {dtype} ({times:.1f} at best)"
        for dtype, times in _by_dtype(found, "times_faster", max).items()
    )
    return f"{REAL_AIM} times the reference in float32 was aimed at: {told}."


def _by_dtype(found: Any, field: str, best: Callable[[list[float]], float]) -> dict[str, float]:
    """The best of a field over the ways of the fast engine, by dtype."""
    each: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for row in found["rows"]:
        if row["way"].startswith("fast"):
            each["bfloat16" if "bfloat16" in row["way"] else "float32"].append(row[field])
    return {dtype: best(values) for dtype, values in each.items()}


def limited(found: Any) -> str:
    """How near the limit the fast engine came in each dtype, and what the limit lets be reached."""
    told = ", ".join(
        f"{'reached' if times <= LIMIT_AIM else 'missed'} in {dtype} ({times:.2f})"
        for dtype, times in _by_dtype(found, "times_the_limit", min).items()
    )
    reference = median(next(row["seconds"] for row in found["rows"] if row["way"] == "reference"))
    most = " and ".join(
        f"{reference / limit:.1f} in {dtype}"
        for dtype, limit in _by_dtype(found, "limit_seconds", min).items()
    )
    return (
        f"{LIMIT_AIM} times the limit was aimed at: {told}. An engine at the limit would be so many "
        f"times as fast as the reference: {most}."
    )


def bfloat16(found: Any) -> str:
    """What bfloat16 is good for here, by the rate of its products."""
    rates = {row["way"]: row["product_gflops"] for row in found["rows"]}
    slower = rates["fast, bfloat16"] < rates["fast"]
    return (
        "Where bfloat16 multiplies more slowly than float32, as here, it only saves memory."
        if slower
        else "Here bfloat16 multiplies "
        f"{rates['fast, bfloat16'] / rates['fast']:.1f} times as fast as float32; a processor "
        "without instructions for it gains memory alone."
    )


def _real_command(found: Any, tail: str) -> str:
    ways = " ".join(f'"{row["way"]}"' if " " in row["way"] else row["way"] for row in found["rows"])
    model = f' --model M --name "{found["model"]}"' if tail else ""
    return command("real_speed", f"{model} --advbench FILE --ways {ways}", f"real_speed{tail}")


def _real_table(found: Any) -> str:
    rows = [
        f"| {row['way']} | {median(row['seconds']):.1f} | {row['times_faster']:.1f} | "
        f"{median(row['cpu_seconds']):.1f} | {row['limit_seconds']:.1f} | "
        f"{row['times_the_limit']:.1f} | {row['product_gflops']} | "
        f"{row['verdicts_that_differ']} of {found['verdicts']} |"
        for row in found["rows"]
    ]
    header = "| way | seconds | times faster | processor seconds | limit, seconds | times the limit | GFLOP/s of products | verdicts that differ |"
    return "\n".join([header, "|---" * 8 + "|", *rows])


def profile(found: Any) -> list[str]:
    """Where the time of one point goes, by kind of operator."""
    whole = sum(found["kinds"].values())
    kinds = [
        f"| {name} | {seconds:.2f} | {100 * seconds / whole:.0f} % |"
        for name, seconds in found["kinds"].items()
    ]
    most = ", ".join(
        f"`{one['name']}` {one['seconds']:.2f} s ({one['calls']:,} calls)"
        for one in found["operators"][:6]
    )
    return [
        "### Where the time goes",
        f"One displaced point of {found['model']} by the fast engine, {found['prompts']} of AdvBench's "
        f"prompts, {found['max_new_tokens']} tokens, {found['dtype']}, {found['cores']} "
        f"{'thread' if found['cores'] == 1 else 'threads'}, displacing and putting back included: "
        f"{found['seconds']:.1f} s, {found['seconds_profiled']:.1f} with PyTorch's profiler. Operators "
        "count with their own time; between them are Python, what NumPy computes, and the profiler. The "
        f"load after it was "
        f"{found['load']}.",
        command("real_profile", " --advbench FILE"),
        "| kind of operator | seconds | share |\n|---|---|---|\n" + "\n".join(kinds),
        f"Most take {most}.",
    ]


def memory(found: Any) -> list[str]:
    rows = []
    for row in found["rows"]:
        limit = "" if row["limit"] is None else f"{row['limit']:.1f}"
        rows.append(
            f"| {row['mode']} | {row['peak'] / 2**20:.0f} | {row['cache'] / 2**20:.0f} | "
            f"{row['times_the_weights']:.2f} | {limit} |"
        )
    size = found["rows"][0]["weights"] / 2**20
    return [
        "## Memory of a model of 135 million parameters",
        f"Random weights of the shape of SmolLM2-135M in float32 ({size:.0f} MiB), "
        f"{found['points']} points, {found['prompts']} prompts: the peak of the process over what "
        "it had before the model was loaded. The plain engine's cache is not counted apart. No "
        "direction is stored on the disk or, in place, in memory; a scan holds its directions in "
        f"memory besides where they take less than {HELD_SHARE:.0%} of what is free, which saves drawing them "
        "at every point, and its plan counts them. In place the weights are copied once more where "
        f"{SHARE_OF_FREE:.0%} of the free memory holds that; `in-place, no copy` is where it does not.",
        command("engine_memory"),
        "\n".join(
            [
                "| mode | peak, MiB | of it cache, MiB | the rest, times the weights | aimed at |",
                "|---|---|---|---|---|",
                *rows,
            ]
        ),
    ]


def scaling(found: Any) -> list[str]:
    rows = [
        f"| {row['points']} | {row['seconds']:.1f} | {1000 * row['a_point']:.0f} |"
        for row in found["planes"]
    ]
    one, two = (row["seconds"] for row in found["ray"]["rows"])
    return [
        "## Larger planes, more actors",
        f"Planes over the same stretch, {found['prompts']} prompts, one process: a point does not "
        "become dearer with their number; the nearer the next point, the better its drafts.",
        command("engine_scaling"),
        "\n".join(
            ["| points | processor seconds | milliseconds a point |", "|---|---|---|", *rows]
        ),
        f"Two lines by the plain engine with two Ray actors instead of one: {one:.1f} s and "
        f"{two:.1f} s, {one / two:.1f} times faster, on two cores with a load of "
        f"{found['ray']['load_before']:.1f} from other work; counted from the first point on.",
    ]


SPREAD = """
## Several processes and several machines

A small model on a CPU is answered by one process a core (`--workers`). `--executor ray` runs the
points on the actors of a Ray cluster, one a GPU, on this machine or at `--ray-address`; the process
that was started alone writes to the run folder. Without Ray, the jobs of a Slurm array can share a
run folder, each with its part of the points:

```console
$ safebasin scan --seeds 1 --steps 4 --limit 8 --out runs/array --shard 1/2
$ safebasin scan --seeds 1 --steps 4 --limit 8 --out runs/array --shard 2/2
```

[A job script](pipelines.md#a-slurm-array) is among the examples. The shard that completes the run
summarises it. Whatever dies loses only the points that it had in work: the same command goes on.

`compare`, `trajectory`, `conditions`, `worst-case` and `evaluate` take the same options. Of fewer
points than processes the prompts are divided as well. Shards divide the points of all parts of a study,
in an evaluation its sets and samples; the last one to end sums up, and in a comparison it asks
the finer places, which follow from the even steps. A search for the worst direction follows from its own
steps and takes `--workers`, no `--shard`.

With `--dry-run` each prints its plan. The time in it comes from a batch that is measured;
`--no-probe` leaves that out, and the plan says so.
""".strip()


if __name__ == "__main__":
    print(page(), end="")
