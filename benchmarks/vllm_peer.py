"""How fast vLLM is beside this package's engines, used as one would without this package.

One line of 21 points of the packaged model, 80 prompts, up to 512 tokens, one thread:

    vllm, whole answers   started once; at each point the displaced weights are written to a file
                          in memory, `reload_weights` reads it, and all prompts are answered
    vllm, stop            the same, with the keywords as `stop`
    engine vllm           `--engine vllm` of this package, with the verdict stop
    plain, fast           `--engine plain` and `--engine fast`, with their defaults, in one process
    fast, two processes   the same in two processes, as `safebasin scan` answers on two cores; vLLM
                          keeps both cores busy too

Every run is a process of its own; rounds go through all ways in turn. Timed is the answering; the
start, with what either compiles or tries out, is told apart. vLLM's processes are more than one:
`cpu_seconds` counts all of them. Runs in the environment of `make test-vllm`:

    .venv-vllm/bin/python benchmarks/vllm_peer.py --out benchmarks/results/vllm_peer.json

So is a real model (`make real-quick` brings it), in either dtype:

    .venv-vllm/bin/python benchmarks/vllm_peer.py --model runs/real/smollm2 --cores 2 \\
        --prompt-set advbench=FILE --prompts 40 --radius 0.05 --steps 2 --max-new-tokens 64
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

STEPS, LIMIT, MAX_NEW_TOKENS, SEED = 20, 80, 512, 0
WAYS = ("vllm, whole answers", "vllm, stop", "engine vllm", "plain", "fast", "fast, two processes")

Verdicts = dict[float, list[bool]]


def one(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """Answer by one way: seconds of the start and of the answering, and every verdict."""
    import psutil
    import torch

    from safebasin.checkpoint import Checkpoint
    from safebasin.directions import Gaussian, Resident
    from safebasin.engines.template import Template
    from safebasin.plane import Axis, Plane
    from safebasin.prompts import load
    from safebasin.weights import Weights

    torch.set_num_threads(threads(way, given))
    checkpoint = Checkpoint.parse(given.model)
    model, tokenizer = checkpoint.load(given.dtype, "cpu")
    prompts = load(given.prompt_set).sample(given.prompts, 0).prompts
    weights = Weights(model)
    direction = Resident(Gaussian(SEED, weights, name="d"), weights, workers=1)
    plane = Plane((Axis.symmetric("d", given.radius, given.steps),))
    template = Template.of(tokenizer)
    before = time.perf_counter()
    if way.startswith("vllm"):
        stop = way.endswith("stop")
        work = peer(checkpoint, model, weights, direction, template, plane, prompts, stop, given)
    else:
        work = ours(way, model, weights, direction, template, plane, prompts, given)
    start, used = time.perf_counter(), cpu_seconds(psutil)
    verdicts = work()
    return {
        "start_seconds": start - before,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": cpu_seconds(psutil) - used,
        "verdicts": {f"{alpha:+.2f}": verdicts[alpha] for alpha in sorted(verdicts)},
    }


def threads(way: str, given: argparse.Namespace) -> int:
    """How many threads each process has that answers."""
    return 1 if "processes" in way else int(given.cores)


def cpu_seconds(psutil: Any) -> float:
    """What this process and those that it started have worked so far, ended ones included."""
    process = psutil.Process()
    own = process.cpu_times()
    times = [own, *(each.cpu_times() for each in process.children(recursive=True))]
    ended = own.children_user + own.children_system
    return float(ended + sum(each.user + each.system for each in times))


def is_success(answer: str) -> bool:
    from safebasin.judges.keywords import LLM_LANDSCAPE

    return not any(keyword in answer for keyword in LLM_LANDSCAPE)


def peer(
    checkpoint: Any,
    model: Any,
    weights: Any,
    direction: Any,
    template: Any,
    plane: Any,
    prompts: Any,
    stop: bool,
    given: argparse.Namespace,
) -> Callable[[], Verdicts]:
    """vLLM alone: nothing of this package answers or moves weights."""
    import torch
    from safetensors.torch import save_file

    from safebasin.judges.keywords import LLM_LANDSCAPE

    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    from vllm import LLM, SamplingParams

    encoded = [{"prompt_token_ids": template.encode(prompt)} for prompt in prompts]
    # A tied tensor once, under the name that vLLM reads it by.
    origin = {name: tensor.float() for name, tensor in model.named_parameters()}
    steps = {view.name: direction.tensor(view) for view in weights.views()}
    llm = LLM(
        str(checkpoint.folders[0]),
        dtype=given.dtype,
        max_model_len=1024,
        max_num_seqs=len(prompts),
        kv_cache_memory_bytes=2**30,
        generation_config="vllm",
        enforce_eager=given.eager,
    )
    params = SamplingParams(
        temperature=0.0,
        max_tokens=given.max_new_tokens,
        stop=list(LLM_LANDSCAPE) if stop else None,
        include_stop_str_in_output=stop,
    )
    llm.generate(encoded, params, use_tqdm=False)  # what is compiled at first use is not timed

    def work() -> Verdicts:
        found: Verdicts = {}
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            for alpha in plane.axes[0].values:
                moved = {
                    name: (tensor + alpha * steps[name] if name in steps else tensor).to(
                        getattr(torch, given.dtype)
                    )
                    for name, tensor in origin.items()
                }
                save_file(moved, Path(folder) / "model.safetensors")
                llm.collective_rpc("reload_weights", kwargs={"weights_path": folder})
                llm.reset_prefix_cache()
                outputs = llm.generate(encoded, params, use_tqdm=False)
                found[alpha] = [is_success(output.outputs[0].text) for output in outputs]
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
    given: argparse.Namespace,
) -> Callable[[], Verdicts]:
    """One of this package's engines."""
    from safebasin.engines import Engine, Sampling
    from safebasin.engines.fast.engine import FastEngine
    from safebasin.engines.plain import PlainEngine
    from safebasin.engines.vllm.engine import VllmEngine
    from safebasin.judges.keywords import LLM_LANDSCAPE
    from safebasin.plane import Point, outward
    from safebasin.spread.workers import Workers
    from safebasin.stopping import StopRule

    made = (model, weights, {"d": direction}, template)
    rule = StopRule(LLM_LANDSCAPE)
    sampling = Sampling(given.max_new_tokens)
    engine: Engine
    if way == "plain":
        engine = PlainEngine(*made)
    elif way.startswith("fast"):
        engine = FastEngine(*made, stop=rule, scores=False)
        engine.plan(outward([plane]), prompts, sampling)
    else:
        engine = VllmEngine(*made, stop=rule, scores=False)
        list(engine.answers([Point()], prompts, sampling))  # as above
    answering = Workers(engine, max(2, given.cores)) if way.endswith("two processes") else engine

    def work() -> Verdicts:
        return {
            dict(point.terms).get("d", 0.0): [is_success(one.response) for one in exchanges]
            for point, exchanges in answering.answers(outward([plane]), prompts, sampling)
        }

    return work


def shown(model: str) -> str:
    """A model's name; of a folder the last part."""
    return Path(model).name if Path(model).is_dir() else model


def differing(ours: dict[str, list[bool]], theirs: dict[str, list[bool]]) -> int:
    return sum(a != b for alpha in theirs for a, b in zip(ours[alpha], theirs[alpha], strict=True))


def table(rounds: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row a way; ratios are to vLLM with `stop` inside each round, and their median."""
    rows = []
    expected = rounds[0]["plain"]["verdicts"]
    for way in rounds[0]:
        runs = [found[way] for found in rounds]
        ratios = [found["vllm, stop"]["seconds"] / found[way]["seconds"] for found in rounds]
        rows.append(
            {
                "way": way,
                "start_seconds": [round(run["start_seconds"], 1) for run in runs],
                "seconds": [round(run["seconds"], 2) for run in runs],
                "cpu_seconds": [round(run["cpu_seconds"], 2) for run in runs],
                "times_faster_than_vllm": round(statistics.median(ratios), 2),
                "times_faster_range": [round(min(ratios), 2), round(max(ratios), 2)],
                "verdicts_that_differ": max(differing(run["verdicts"], expected) for run in runs),
            }
        )
    return rows


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--model", default="testbed:aligned")
    parser.add_argument("--prompt-set", default="testbed:harmful")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--radius", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--prompts", type=int, default=LIMIT)
    parser.add_argument("--max-new-tokens", type=int, default=MAX_NEW_TOKENS)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--eager", action="store_true", help="vLLM alone does not compile either")
    return parser


def command_of(given: argparse.Namespace) -> str:
    """The command with what was given beside the defaults; M and FILE stand for local paths."""
    parts = [".venv-vllm/bin/python benchmarks/vllm_peer.py"]
    own = {
        "model": "M" if Path(given.model).exists() else given.model,
        "prompt_set": prompts(given),
    }
    for name, value in (vars(given) | own).items():
        if name in ("out", "way") or value == argument_parser().get_default(name):
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        parts += [f"--{name.replace('_', '-')}", *(shlex.quote(str(one)) for one in values)]
    return " ".join(parts)


def prompts(given: argparse.Namespace) -> str:
    """The set of prompts as it was named, without where its file lies."""
    name, _, path = given.prompt_set.rpartition("=")
    return f"{name}=FILE" if name and path else given.prompt_set


def main() -> None:
    parser = argument_parser()
    given = parser.parse_args()
    if missing := {"vllm, stop", "plain"} - set(given.ways):
        parser.error(f"the others are held against {' and '.join(sorted(missing))}: add it")
    if given.way is not None:
        print(json.dumps(one(given.way, given)))
        return
    same = ["--steps", given.steps, "--prompts", given.prompts, "--dtype", given.dtype]
    same += ["--model", given.model, "--prompt-set", given.prompt_set, "--cores", given.cores]
    same += ["--radius", given.radius, "--max-new-tokens", given.max_new_tokens]
    same += ["--eager"] if given.eager else []
    rounds: list[dict[str, dict[str, Any]]] = []
    load: list[float] = []
    for number in range(given.rounds):
        found = {}
        for way in given.ways:
            command = [sys.executable, __file__, "--way", way, *map(str, same)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads(way, given))}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(done.stderr)
            found[way] = json.loads(done.stdout.splitlines()[-1])
            load.append(round(os.getloadavg()[0], 1))
            print(f"round {number + 1} {way}: {found[way]['seconds']:.1f} s", flush=True)
        rounds.append(found)
    value = {
        "command": command_of(given),
        "model": shown(given.model),
        "dtype": given.dtype,
        "points": given.steps + 1,
        "prompts": given.prompts,
        "max_new_tokens": given.max_new_tokens,
        "verdicts": (given.steps + 1) * given.prompts,
        "vllm_alone_compiles": not given.eager,
        "rows": table(rounds),
        "load_after_each_run": load,
        "versions": {
            name: version(name) for name in ("safebasin", "torch", "transformers", "vllm-cpu")
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{given.cores} thread{'s' * (given.cores > 1)} in each process",
    }
    text = json.dumps(value, indent=1) + "\n"
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
