"""How fast each way of answering is on a real model, and what the processor allows.

Two displaced points of SmolLM2-135M-Instruct (`make real-quick` brings it), 40 of AdvBench's
prompts, 64 tokens, both cores:

    reference              batches of four by `generate`, as the published code asks
    plain                  `--engine plain`
    fast                   `--engine fast` in one process, as `safebasin scan` starts it
    fast, two processes    the same with `--workers 2`
    ... bfloat16           the same in bfloat16

Every run is a process of its own. Timed is the answering, displacing included, not the start. The
limit is the time of the products alone: those that the tokens need, by products of as many rows,
measured in the same minute by the weights and by copies of them in oneDNN's order.

    python benchmarks/real_speed.py --advbench FILE --out benchmarks/results/real_speed.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine_speed import differing, is_success, processor_seconds

SEED, RADIUS = 0, 0.05
WAYS = (
    "reference",
    "plain",
    "fast",
    "fast, two processes",
    "fast, bfloat16",
    "fast, two processes, bfloat16",
)
EXPECTED = "plain"
"""The way whose verdicts the others are held against."""


def one(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """Answer by one way: seconds, tokens, every verdict, and the limit by products."""
    import torch

    from safebasin.checkpoint import Checkpoint
    from safebasin.directions import Gaussian, Resident
    from safebasin.engines import Engine, Sampling
    from safebasin.engines.fast.engine import FastEngine
    from safebasin.engines.plain import PlainEngine
    from safebasin.engines.template import Template
    from safebasin.judges.keywords import LLM_LANDSCAPE
    from safebasin.plane import Axis, Plane
    from safebasin.prompts import load
    from safebasin.spread.workers import Workers
    from safebasin.stopping import StopRule
    from safebasin.weights import Weights

    cores = 1 if "processes" in way else given.cores
    torch.set_num_threads(cores)
    dtype = "bfloat16" if "bfloat16" in way else "float32"
    model, tokenizer = Checkpoint.parse(given.model).load(dtype, "cpu")
    prompts = load(given.prompts).prompts[: given.limit]
    weights = Weights(model)
    directions = {"d": Resident(Gaussian(SEED, weights, name="d"), weights, workers=1)}
    template, sampling = Template.of(tokenizer), Sampling(given.max_new_tokens)
    points = [p for p in Plane((Axis.symmetric("d", RADIUS, 2),)).points if not p.is_origin]
    tokens = len(points) * sum(len(template.encode(prompt)) for prompt in prompts)

    def by_reference() -> dict[str, list[bool]]:
        found = {}
        for point in points:
            with weights.displaced([(a, directions[name]) for name, a in point.terms]):
                found[point.label] = in_fours(model, template, prompts, given.max_new_tokens)
        return found

    def by(engine: Engine) -> Callable[[], dict[str, list[bool]]]:
        def work() -> dict[str, list[bool]]:
            done = engine.answers(points, prompts, sampling)
            return {p.label: [is_success(each.response) for each in found] for p, found in done}

        return work

    if way == "reference":
        work = by_reference
    elif way == "plain":
        work = by(PlainEngine(model, weights, directions, template))
    else:
        stop = StopRule(LLM_LANDSCAPE)
        engine = FastEngine(model, weights, directions, template, stop=stop, scores=False)
        engine.plan(points, prompts, sampling)
        work = by(Workers(engine, given.cores) if "processes" in way else engine)
    start, used = time.perf_counter(), processor_seconds()
    verdicts = work()
    seconds, processor = time.perf_counter() - start, processor_seconds() - used
    at_once = given.cores if "processes" in way else 1
    return {
        "seconds": seconds,
        "cpu_seconds": processor,
        "prompt_tokens": tokens,
        "verdicts": verdicts,
        "product_rate": at_once * product_rate(model, given.limit),
        "operations_a_token": operations(model),
    }


def in_fours(model: Any, template: Any, prompts: Any, new_tokens: int) -> list[bool]:
    """Verdicts of the published procedure: batches of four, padded on the left."""
    import torch

    tokenizer = template.tokenizer
    tokenizer.padding_side = "left"
    found = []
    for start in range(0, len(prompts), 4):
        encoded = [template.encode(prompt) for prompt in prompts[start : start + 4]]
        inputs = tokenizer.pad({"input_ids": encoded}, return_tensors="pt")
        with torch.no_grad():
            output = model.generate(
                **inputs,
                max_new_tokens=new_tokens,
                do_sample=True,
                top_p=0.0,
                temperature=1.0,
                top_k=50,
                use_cache=True,
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        found += [is_success(text) for text in tokenizer.batch_decode(new, True)]
    return found


def matrices(model: Any) -> list[Any]:
    """The weights of all linear modules, the output layer's among them."""
    import torch

    return [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]


def operations(model: Any) -> dict[str, float]:
    """Floating-point operations of the products for a token: of the layers, and of the head."""
    head = 2.0 * model.get_output_embeddings().weight.numel()
    return {"layers": 2.0 * sum(w.numel() for w in matrices(model)) - head, "head": head}


def product_rate(model: Any, rows: int) -> float:
    """Operations a second of the products of one layer, for so many rows; the best of five.

    By the weights, or by copies of them in oneDNN's order, whichever is faster.
    """
    import torch

    from safebasin.engines.fast.packed import Packed

    weights = matrices(model)[:7]
    inputs = [torch.randn(rows, w.shape[1]).to(w.dtype) for w in weights]
    packed = [Packed((w, None)) for w in weights]
    best = float("inf")
    with torch.inference_mode():
        for copied in (False, hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
            for one in packed if copied else ():
                one.copy()
            for _ in range(5):
                start = time.perf_counter()
                for _ in range(10):
                    for x, w, one in zip(inputs, weights, packed, strict=True):
                        one.product(x) if copied else torch.nn.functional.linear(x, w)
                best = min(best, (time.perf_counter() - start) / 10)
    return 2.0 * rows * sum(w.numel() for w in weights) / best


def rows_of(rounds: list[dict[str, Any]], answer_tokens: int) -> list[dict[str, Any]]:
    """One row a way: seconds, ratios inside each round, and the share of the limit."""
    rows = []
    for way in rounds[0]:
        runs = [found[way] for found in rounds]
        ratios = [found["reference"]["seconds"] / found[way]["seconds"] for found in rounds]
        each = runs[0]["operations_a_token"]
        needed = runs[0]["prompt_tokens"] * each["layers"] + answer_tokens * sum(each.values())
        limits = [needed / run["product_rate"] for run in runs]
        over = [run["seconds"] / limit for run, limit in zip(runs, limits, strict=True)]
        rows.append(
            {
                "way": way,
                "seconds": [round(run["seconds"], 1) for run in runs],
                "cpu_seconds": [round(run["cpu_seconds"], 1) for run in runs],
                "times_faster": round(statistics.median(ratios), 2),
                "limit_seconds": round(statistics.median(limits), 1),
                "times_the_limit": round(statistics.median(over), 2),
                "product_gflops": round(statistics.median(r["product_rate"] for r in runs) / 1e9),
                "verdicts_that_differ": max(
                    differing(found[way]["verdicts"], found[EXPECTED]["verdicts"])
                    for found in rounds
                ),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", default="runs/real/smollm2", help="a folder or a hub's name")
    parser.add_argument("--name", default="SmolLM2-135M-Instruct", help="what the model is called")
    parser.add_argument("--advbench", help="AdvBench's file, where the hub has it not")
    parser.add_argument("--prompts", default="", help="another set of prompts")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    given = parser.parse_args()
    given.prompts = asked(given)
    if given.way is not None:
        print(json.dumps(one(given.way, given)))
        return
    same = ["--model", given.model, "--prompts", given.prompts, "--cores", given.cores]
    same += ["--limit", given.limit, "--max-new-tokens", given.max_new_tokens]
    rounds: list[dict[str, Any]] = []
    load: list[float] = []
    for number in range(given.rounds):
        found = {}
        for way in given.ways:
            threads = 1 if "processes" in way else given.cores
            done = subprocess.run(
                [sys.executable, __file__, "--way", way, *map(str, same)],
                capture_output=True,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )
            if done.returncode:
                sys.exit(done.stderr)
            found[way] = json.loads(done.stdout.splitlines()[-1])
            print(f"round {number + 1} {way}: {found[way]['seconds']:.1f} s", flush=True)
        rounds.append(found)
        load.append(round(os.getloadavg()[0], 2))
    points = len(rounds[0][EXPECTED]["verdicts"])
    value = {
        "model": given.name,
        "cores": given.cores,
        "points": points,
        "prompts": given.limit,
        "max_new_tokens": given.max_new_tokens,
        "verdicts": points * given.limit,
        "rows": rows_of(rounds, points * given.limit * given.max_new_tokens),
        "load": load,
    }
    write(value, given.out)


def asked(given: argparse.Namespace) -> str:
    """The set of prompts that the options name: another one, AdvBench's file, or AdvBench."""
    return given.prompts or (f"advbench={given.advbench}" if given.advbench else "advbench")


def write(value: dict[str, Any], out: Path | None) -> None:
    """A result with versions and machine, as JSON to a file or to standard output."""
    whole = {
        **value,
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    text = json.dumps(whole, indent=1) + "\n"
    print(text) if out is None else out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
