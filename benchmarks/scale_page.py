"""Writes docs/scale.md from the committed results.

python benchmarks/scale_page.py > docs/scale.md
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from page_text import paragraph, rows
from scale_cost import BYTES, LLAMA_70B, STUDIES, Cost, cost, gpus_for, line_of, points_of, scaled

RESULTS = Path(__file__).parent / "results"
PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 80, 40, 128
NAMES = {"line": "one direction", "study": "three directions", "plane": "a plane of 21 x 21"}

# ruff: noqa: E501 (text and tables of the page)
SHARDS = """
# Many processes, many machines

One run folder can be filled by many: processes of one machine, actors of a Ray cluster, or jobs that
share a file system and nothing else. Whichever it is, the answers, the records and the summary are
those of one process, and what is killed is gone on with by the same command.

| way | who writes to the run folder | what is needed |
|---|---|---|
| `--workers N` | the process that was started | one machine |
| `--executor ray` | the process that was started | a Ray cluster; the model under the same name on each machine |
| `--shard i/N` | every job, to its own points | a file system with locks that all of them see |

[Speed](speed.md#several-processes-and-several-machines) says what is divided among them in a study.

## Jobs of a Slurm array

[landscape.sbatch](examples/landscape.sbatch) maps a landscape with the tasks of an array;
[pipelines](pipelines.md#a-slurm-array) explains it. A task is one shard, and shards are dealt the points
in turn, from the origin outward, so that all cost alike. The task that completes the run sums it up.

- A task that is killed loses the point it had in work and nothing else. Its lock ends with its process,
  so the same task can be submitted again at once.
- A task that is submitted while its first attempt still runs ends with the error `run-busy`, and disturbs
  nothing.
- Two tasks that end at the same moment may leave the summary to each other. The job after the array, or
  any command on the run, makes it from the records.
- What a task may take of the memory (`--mem`) is read from its control group, as it is for a container:
  batches, copies of weights and directions that are held in memory go by that, not by what the machine
  has free.

## A Ray job

[landscape-ray.sh](examples/landscape-ray.sh) is the script of a Ray job, submitted from the head node:

```bash
ray job submit --address http://127.0.0.1:8265 --working-dir . -- bash landscape-ray.sh
```

`MODEL`, `RUN`, `SEEDS`, `STEPS`, `LIMIT` and `TENSOR_PARALLEL` are taken from the environment. The process
of the job deals the points to one actor a GPU and alone writes to `RUN`. An actor that dies is started
again by Ray, and its point is asked again; when the job itself is killed, the same job goes on.

## Models larger than a GPU

`--engine vllm --tensor-parallel N` has one vLLM divide the model over N GPUs of a machine. Each of its N
workers is sent all weights at each point and keeps its part. With `--executor ray` every actor asks Ray for
N GPUs, which are then on one machine; where no machine of the cluster has as many, the scan says so instead
of waiting. The model itself lies in host memory once for each vLLM, where it is displaced in full precision
as always.

Tests hold all of that against a stand-in for vLLM and for the cluster. No machine with several GPUs was at
hand: nothing of it was run on one.

`safebasin scan` with `--engine fast`, the default, divides a model by transformers itself, by the model's own
plan (`DistributedConfig(tp_size=N)`). It starts N - 1 more processes on its machine; each holds its part of
every matrix, on its own GPU where there are any, and computes what the first one, which plans, judges and
writes, tells it. Ctrl-C, resuming, `--shard` and the report are those of any scan. Where one of the processes
is killed the scan ends with an error, and the same command goes on.

```console
$ safebasin scan testbed:aligned --tensor-parallel 2 --seeds 1 --steps 4 --limit 8 --out runs/divided
```

The library takes a divided model in a program of one's own, too, such as one over several machines:
`Weights` displaces the part, and the plain and the fast engine give every process all answers, of which one
writes. [divided_landscape.py](examples/divided_landscape.py) is such a program:

```bash
torchrun --nproc-per-node 4 divided_landscape.py MODEL PROMPTS landscape.json
```

| | |
|---|---|
| displaced weights | those of the undivided model bit for bit, as are a direction's digest and what is restored |
| logits, answers | sums over parts round otherwise: within 1e-6 of the undivided model's in float32, with equal answers |
| memory a process | its part of the weights and of their copy. A direction by `law="counter"` is drawn for the part alone where that is whole rows; else one whole tensor is held at a time |
| the fast engine | one point after another, without drafts and recorded graphs, by the model's own modules: what is faster is measured, and all processes have to do the same |
| refused | matrices that a plan packs before it divides them, such as fused gates: `--engine vllm` takes these |
| not there | other commands than `scan`, capabilities, steering, Ray, an estimate of the time before it begins: these stay with `--engine vllm` or an undivided model |

Tests do that with two processes on the CPU, tied and untied, in float32 and bfloat16, run the example, and
scan with two processes of which one is killed. SmolLM2-135M-Instruct with three processes gave the same
answers as undivided, by hand (6 prompts at 3 points, 16 tokens). It was run on no GPU.
""".strip()

FILES = """
## What the file system has to give

| guarantee | why | where it is missing |
|---|---|---|
| a rename within a folder is atomic | a record is whole or not there, for every reader | object stores |
| `O_EXCL`: of two that make a file one fails | nobody writes into another's temporary file | NFS before version 3 |
| `flock` between machines, ended with its process | one writer a shard; nothing stays locked by the dead | some mounts: refused, see below |
| `fsync` of a file and of a folder | what was said to be measured survives a power cut | network mounts with `async` |
| a new file is seen by the others within a minute | the last shard counts what is missing | attribute caches set longer (`acregmax`) |

Local disks, NFS version 4, Lustre mounted with `-o flock`, GPFS and CephFS give all of these. A file system
that has no locks is refused in one sentence when the run folder is opened. Lustre's `localflock` cannot be
told apart from real locks by a process: with it, never start a shard twice.

An address such as `s3://bucket/run` is refused wherever a command or the library takes a path:

```console
$ safebasin scan --seeds 1 --steps 2 --limit 2 --out s3://bucket/run || echo "exit code $?"
```

An object store has no locks and no atomic rename, and a bucket that is mounted as a folder has neither.
Keep the run on a file system, and copy it when it has ended: `verify` holds every record of the copy
against its digest.
""".strip()


def page() -> str:
    """The whole page as Markdown."""
    parts = [SHARDS, FILES, *killed(read("hostile")), *driver(read("driver_overhead"))]
    return "\n\n".join([*parts, *costs(read("gpu"))]) + "\n"


def read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def killed(found: Any) -> list[str]:
    one = found["shards"]
    return [
        "## Killed at random",
        paragraph(f"""
            `make test-hostile` runs {one["shards"]} shards of a plane of {one["points"]} points on
            one folder, {one["at_once"]} at a time, each a process of its own, and kills them with
            SIGKILL at random moments; once it kills what schedules them as well, whose shards live
            on, and starts it again. Of the last run: {one["killed"]} shards and {one["schedulers"]}
            scheduler killed; every record of answers and verdicts was, byte for byte, that of one
            process, no point was stored twice, and `landscape.json` was the same. The tests do it
            with 4 shards.
        """),
    ]


def driver(found: Any) -> list[str]:
    rounds = found["rounds"]
    return [
        "## What the process that keeps the run costs",
        paragraph(f"""
            {found["milliseconds_a_point"]:.1f} ms of a processor a point, for a plane of
            {found["points"]:.0f} points and {found["prompts"]:.0f} prompts with an engine that
            costs nothing: the answers of a point are stored, judged by keywords, and the verdicts
            stored. A point costs the same however many there are: two files, each made whole and
            synced with its folder. To sum the run up, draw it and write its report takes
            {found["seconds_of_the_summary"]:.1f} s at the end. {found["machine"]}, with a load of
            {found["load"]} from other work, {"once" if rounds == 1 else f"median of {rounds}"}.
        """),
        "```console\n$ python benchmarks/driver_overhead.py "
        f"--rounds {rounds} --out benchmarks/results/driver_overhead.json\n```",
    ]


def costs(found: Any) -> list[str]:
    card, memory = found["machine"]["card"], found["machine"]["memory_bytes"]
    one, eight = found["llama-1b"], found["llama-8b"]
    gpus = gpus_for(LLAMA_70B, memory, PROMPTS, PROMPT_TOKENS + NEW_TOKENS)
    cells = []
    for study in STUDIES:
        own = [cost(one, study), cost(eight, study), scaled(eight, study, LLAMA_70B, gpus)]
        cells.append([NAMES[study], str(points_of(study)), *map(shown, own)])
    size = BYTES * LLAMA_70B.weights / 1e9
    return [
        "## What a landscape costs",
        paragraph(f"""
            GPU hours on one {card} for {PROMPTS} prompts of {PROMPT_TOKENS} tokens, answered with
            {NEW_TOKENS} tokens each; answers that end early, a verdict stop and drafts make it
            less. The lines of 1 and 8 billion weights [were measured](speed.md#on-a-gpu), loading
            the model not counted. The rest is modelled: more points at the same time a point; 70
            billion weights at the time of 8 billion times the bytes of weights that a pass reads.
        """),
        rows(
            ["study", "points", "1 billion", "8 billion", f"70 billion, {gpus} GPUs (modelled)"],
            cells,
        ),
        paragraph(f"""
            Measured were {ways(one)} (1 billion) and {ways(eight)} (8 billion). The figure for 70
            billion weights has no part for what dividing the model costs, nor for sending
            {size:.0f} GB through a socket to each worker at each point, which was measured nowhere.
            With M groups of GPUs the hours that pass are an M-th of it.
        """),
    ]


def ways(shape: Any) -> str:
    name, seconds, points = line_of(shape)
    return f"{seconds:.0f} s for {points} points by `{name.removeprefix('line, ')}`"


def shown(one: Cost) -> str:
    return f"{one.gpu_hours:.2g}" + ("" if one.measured else " (modelled)")


if __name__ == "__main__":
    print(page(), end="")
