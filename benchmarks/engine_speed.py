"""How fast each way of answering is, and whether its verdicts are those of the reference's way.

One line of 21 points of the packaged model, 80 prompts, up to 512 tokens, float32, one thread:

    reference   batches of four, `generate` with top_p = 0, weights moved by repeated addition on
                the CPU and loaded anew at each point (the published procedure, computed again)
    the rest    this package's engines in their modes

`--cores 2` gives the reference two threads, and this package two processes of one thread, as
`safebasin scan` starts them. `--edge` is how far the line goes on each side.

Every run is a process of its own; rounds go through all ways in turn. Timed is the answering, not
the start; processor seconds are those of the process, and of its own processes, in that time. Peak
memory is that of the process over its memory before the model is loaded.

    python benchmarks/engine_speed.py --out benchmarks/results/engine_speed.json
    python benchmarks/engine_speed.py --cores 2 --out benchmarks/results/engine_speed_cores.json
    python benchmarks/engine_speed.py --edge 1 --out benchmarks/results/engine_speed_wide.json
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

STEPS, LIMIT, MAX_NEW_TOKENS, SEED = 20, 80, 512, 0

FAST: dict[str, dict[str, Any]] = {
    "in place, whole answers": {"mode": "in-place", "drafts": False, "stop": False},
    "in place, verdict stop": {"mode": "in-place", "drafts": False},
    "in place, verdict stop, drafts": {"mode": "in-place", "drafts": True},
    "pool, verdict stop": {"mode": "pool", "drafts": False},
    "pool, verdict stop, drafts": {"mode": "pool", "drafts": True},
    "default": {},
    "default, stop at the plateau": {"plateau": True},
}
WAYS = ("reference", "plain", *FAST)
SHORT = ("reference", "default", "default, stop at the plateau")


def peak_memory() -> int:
    """The most memory this process ever had, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line))


def processor_seconds() -> float:
    """What this process and those that it has ended used, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def one(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """Answer by one way; seconds, passes, tokens, memory and every verdict."""
    import torch

    from safebasin.checkpoint import Checkpoint
    from safebasin.directions import Gaussian, Resident
    from safebasin.engines.template import Template
    from safebasin.plane import Axis, Plane
    from safebasin.prompts import load
    from safebasin.weights import Weights

    torch.set_num_threads(given.cores if way == "reference" else 1)
    before = peak_memory()
    model, tokenizer = Checkpoint.parse("testbed:aligned").load("float32", "cpu")
    prompts = load("testbed:harmful").sample(given.prompts, 0).prompts
    weights = Weights(model)
    direction = Resident(Gaussian(SEED, weights, name="d"), weights, workers=1)
    plane = Plane((Axis.symmetric("d", given.edge, given.steps),))
    template = Template.of(tokenizer)
    counts = {"passes": 0, "tokens": 0}

    def count(module: Any, args: Any, kwargs: Any) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        counts["passes"] += 1
        counts["tokens"] += ids.numel()

    if way not in FAST:  # the fast engine counts by itself, and does more where no hook is
        model.register_forward_pre_hook(count, with_kwargs=True)
    work: Callable[[], dict[float, list[bool]]]
    if way == "reference":
        work = reference(model, weights, direction, template, plane, prompts, given)
    else:
        work = ours(way, model, weights, direction, template, plane, prompts, given, counts)
    start, used = time.perf_counter(), processor_seconds()
    verdicts = work()
    seconds, processor = time.perf_counter() - start, processor_seconds() - used
    return {
        "seconds": seconds,
        "cpu_seconds": processor,
        **counts,
        "memory": peak_memory() - before,
        "verdicts": {f"{alpha:+.2f}": verdicts[alpha] for alpha in sorted(verdicts)},
    }


def is_success(answer: str) -> bool:
    from safebasin.judges.keywords import LLM_LANDSCAPE

    return not any(keyword in answer for keyword in LLM_LANDSCAPE)


def reference(
    model: Any, weights: Any, direction: Any, template: Any, plane: Any, prompts: Any, given: Any
) -> Callable[[], dict[float, list[bool]]]:
    """The published procedure along the same direction."""
    import copy

    import torch

    steps = {view.name: direction.tensor(view) for view in weights.views()}
    alphas = plane.axes[0].values
    tokenizer = template.tokenizer
    tokenizer.padding_side = "left"
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt.text}], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]

    def work() -> dict[float, list[bool]]:
        state = copy.deepcopy(model.state_dict())
        width = alphas[1] - alphas[0]
        each = {name: step * width for name, step in steps.items() if step is not None}
        for name, step in each.items():
            state[name] += step * alphas[0] / width
        found: dict[float, list[bool]] = {}
        for alpha in alphas:
            model.load_state_dict(state)
            answers: list[str] = []
            for start in range(0, len(texts), 4):
                inputs = tokenizer(
                    texts[start : start + 4],
                    return_tensors="pt",
                    padding=True,
                    add_special_tokens=False,
                )
                with torch.no_grad():
                    output = model.generate(
                        input_ids=inputs["input_ids"],
                        attention_mask=inputs["attention_mask"],
                        max_new_tokens=given.max_new_tokens,
                        do_sample=True,
                        top_p=0.0,
                        temperature=1.0,
                        top_k=50,
                        use_cache=True,
                    )
                new = output[:, inputs["input_ids"].shape[1] :]
                answers += tokenizer.batch_decode(new, skip_special_tokens=True)
            found[alpha] = [is_success(answer) for answer in answers]
            for name, step in each.items():
                state[name] += step
        return found

    return work


def ours(
    way: str,
    model: Any,
    weights: Any,
    direction: Any,
    template: Any,
    plane: Any,
    prompts: Any,
    given: Any,
    counts: dict[str, int],
) -> Callable[[], dict[float, list[bool]]]:
    """One of this package's engines; points that a plateau stop leaves out count as successes."""
    from safebasin.engines import Engine, Sampling
    from safebasin.engines.fast.engine import FastEngine
    from safebasin.engines.plain import PlainEngine
    from safebasin.judges.keywords import LLM_LANDSCAPE
    from safebasin.plane import outward
    from safebasin.scanning.walk import Walk
    from safebasin.spread.workers import Workers
    from safebasin.stopping import StopRule

    directions = {"d": direction}
    options = dict(FAST.get(way, {}))
    plateau = options.pop("plateau", False)
    engine: Engine
    if way == "plain":
        engine = PlainEngine(model, weights, directions, template)
    else:
        stop = StopRule(LLM_LANDSCAPE) if options.pop("stop", True) else None
        engine = FastEngine(
            model, weights, directions, template, stop=stop, scores=False, **options
        )
    answering = engine if given.cores == 1 else Workers(engine, given.cores)
    points = outward([plane])
    sampling = Sampling(given.max_new_tokens)

    def work() -> dict[float, list[bool]]:
        walk = Walk([plane]) if plateau else None
        found: dict[float, list[bool]] = {}
        wanted = None if walk is None else walk.wanted
        for point, exchanges in answering.answers(points, prompts, sampling, None, wanted):
            if walk is not None and not walk.wanted(point):
                continue
            alpha = dict(point.terms).get("d", 0.0)
            found[alpha] = [is_success(exchange.response) for exchange in exchanges]
            if walk is not None:
                walk.record(point, sum(found[alpha]) / len(found[alpha]))
        for point in walk.assumed if walk is not None else ():
            found[dict(point.terms)["d"]] = [True] * len(prompts)
        if isinstance(engine, FastEngine) and given.cores == 1:
            counts.update(passes=engine.counter.passes, tokens=engine.counter.tokens)
        return found

    return work


def differing(ours: dict[str, list[bool]], theirs: dict[str, list[bool]]) -> int:
    return sum(a != b for alpha in theirs for a, b in zip(ours[alpha], theirs[alpha], strict=True))


def table(rounds: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row a way: the median of the rounds, and its ratio to the reference inside each round."""
    rows = []
    expected = rounds[0]["reference"]["verdicts"]
    for way in rounds[0]:
        runs = [found[way] for found in rounds]
        ratios, less = (
            [found["reference"][name] / found[way][name] for found in rounds]
            for name in ("seconds", "cpu_seconds")
        )
        rows.append(
            {
                "way": way,
                "seconds": [round(run["seconds"], 2) for run in runs],
                "cpu_seconds": [round(run["cpu_seconds"], 2) for run in runs],
                "times_faster": round(statistics.median(ratios), 2),
                "times_faster_range": [round(min(ratios), 2), round(max(ratios), 2)],
                "times_less_work": round(statistics.median(less), 2),
                "passes": runs[0]["passes"] or None,
                "tokens": runs[0]["tokens"] or None,
                "memory_mib": round(max(run["memory"] for run in runs) / 2**20, 1),
                "verdicts_that_differ": max(differing(run["verdicts"], expected) for run in runs),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--edge", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--prompts", type=int, default=LIMIT)
    parser.add_argument("--max-new-tokens", type=int, default=MAX_NEW_TOKENS)
    given = parser.parse_args()
    if given.way is not None:
        print(json.dumps(one(given.way, given)))
        return
    same = ["--steps", given.steps, "--prompts", given.prompts]
    same += ["--max-new-tokens", given.max_new_tokens]
    same += ["--cores", given.cores, "--edge", given.edge]
    ways = WAYS if (given.cores, given.edge) == (1, 0.5) else SHORT
    rounds: list[dict[str, dict[str, Any]]] = []
    load: list[float] = []
    for number in range(given.rounds):
        found = {}
        for way in ways:
            command = [sys.executable, __file__, "--way", way, *map(str, same)]
            environment = {
                **os.environ,
                "OMP_NUM_THREADS": str(given.cores if way == "reference" else 1),
            }
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(done.stderr)
            found[way] = json.loads(done.stdout.splitlines()[-1])
            print(f"round {number + 1} {way}: {found[way]['seconds']:.1f} s", flush=True)
        rounds.append(found)
        load.append(round(os.getloadavg()[0], 2))
    value = {
        "model": "testbed:aligned",
        "cores": given.cores,
        "edge": given.edge,
        "points": given.steps + 1,
        "prompts": given.prompts,
        "max_new_tokens": given.max_new_tokens,
        "verdicts": (given.steps + 1) * given.prompts,
        "rows": table(rounds),
        "load": load,
        "versions": {name: version(name) for name in ("safebasin", "torch", "transformers")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    text = json.dumps(value, indent=1) + "\n"
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
