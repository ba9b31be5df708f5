"""What one GPU does: drawing and displacing, answering by every way, memory, and equal verdicts.

    PYTHONPATH=src python benchmarks/gpu.py --out gpu.json

It needs torch, transformers, safetensors, numpy and pydantic, and nothing else of what the package
needs. Models of 1 and 8 billion weights are made on the spot, in bfloat16; every figure stands
beside what the card can do by a measured copy and a measured product. `reference` is the published
procedure: batches of four by `generate`, of which `--reference-prompts` prompts are answered and
the time is scaled to all of them.

A part that fails leaves its error in its place, and the script ends with 1. Parts that `--seconds`
leaves no time for are named in `left_out`. `--device cpu --shapes tiny` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from gpu_shapes import SHAPES, Drawn, model_of, prompts_of, tokenizer_of

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Gaussian, Resident, random_direction
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.memory_plan import Mode
from safebasin.engines.fast.slots import CacheShape
from safebasin.engines.memory import free_model
from safebasin.engines.padding import padded
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.plane import Axis, Plane, Point
from safebasin.prompts import Prompt, load
from safebasin.stopping import StopRule
from safebasin.weights import Weights

STEPS, EDGE = 20, 0.5
PARTS = ("ceilings", "equality", "shapes")


class Clock:
    """Seconds of work on the device, all of it finished."""

    def __init__(self, device: str) -> None:
        self.device = device

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def of(self, work: Callable[[], object]) -> float:
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def best(self, work: Callable[[], object], times: int = 5) -> float:
        """The median after one call that is not counted."""
        work()
        return sorted(self.of(work) for _ in range(times))[times // 2]


def ceilings(given: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Bytes a second of a copy, read and written, and operations a second of a product."""
    gpu = given.device == "cuda"
    source = torch.randn(2**30 if gpu else 2**22, device=given.device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / clock.best(lambda: target.copy_(source))
    size = 8192 if gpu else 256
    left = torch.randn(size, size, device=given.device).to(torch.bfloat16)
    right = torch.randn(size, size, device=given.device).to(torch.bfloat16)
    return {
        "copy_bytes_per_second": copied,
        "bfloat16_operations_per_second": 2 * size**3 / clock.best(lambda: left @ right),
    }


def displacing(model: Any, given: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Seconds to displace all weights and to put them back, by where the direction comes from."""
    weights = Weights(model)
    found: dict[str, Any] = {"weights": weights.numel, "dtype": str(model.dtype)}
    bits = weights.pristine_bytes
    for name, direction in directions(weights, given).items():
        seconds = clock.best(partial(there_and_back, weights, direction), 3)
        # There: the pristine weights are read and the weights written; back: the same.
        found[name] = {"seconds_there_and_back": seconds, "bytes_per_second": 4 * bits / seconds}
    gaussian = Gaussian(0, weights)
    drawn = max(weights.parameters, key=lambda p: torch.Size(p.shape).numel() < 2**25)
    seconds = clock.of(lambda: gaussian.tensor(drawn))
    found["drawn by numpy, numbers per second and core"] = torch.Size(drawn.shape).numel() / seconds
    return found


def there_and_back(weights: Weights, direction: Any) -> None:
    with weights.displaced([(0.1, direction)]):
        pass


def directions(weights: Weights, given: argparse.Namespace) -> dict[str, Any]:
    """What the weights are displaced along, by how the direction comes to be on the device."""
    return {
        "drawn by a counter": random_direction(0, weights, law="counter", name="d"),
        "drawn by torch, at every point": Drawn("d", weights, given.device),
    }


def answering(
    model: Any, name: str, given: argparse.Namespace, clock: Clock
) -> dict[str, Callable[[], dict[str, Any]]]:
    """One point and a line, by each way: what measures them, in the order to be done."""
    template = Template.of(tokenizer_of(name))
    prompts = prompts_of(name, given.prompts)
    sampling = Sampling(given.max_new_tokens)
    weights = Weights(model)
    direction = random_direction(0, weights, law="counter", name="d")
    line = list(Plane((Axis.symmetric("d", EDGE, STEPS),)).points)[: given.points]
    moved = next(point for point in line if not point.is_origin)

    def measured(points: list[Point], mode: Mode, graphs: bool = True) -> dict[str, Any]:
        engine = FastEngine(
            model,
            weights,
            {"d": direction},
            template,
            stop=StopRule(LLM_LANDSCAPE),
            mode=mode,
            drafts=False,
        )
        free_cached(given.device)
        start = clock.of(lambda: engine.plan(points, prompts, sampling))
        plan = engine.plan(points, prompts, sampling)
        forward = running(engine, graphs, plan.reasons)
        ends = stamped(forward)
        done: list[Any] = []
        with watched(given.device) as used:
            seconds = clock.of(lambda: done.extend(engine.answers(points, prompts, sampling)))
        passes = forward.counter.passes
        pass_seconds = median(b - a for a, b in pairwise(ends))
        # The least that a pass reads: the weights, with the direction where there is a pool, and
        # the keys and values of rows that are answered by half.
        least = weights_bytes(model) * (2 if plan.mode == "pool" else 1)
        context = len(template.encode(prompts[0])) + given.max_new_tokens // 2
        least += plan.rows * context * CacheShape.of(model).bytes_per_token
        return {
            "mode": plan.mode,
            "rows": plan.rows,
            "points": len(points),
            "start_seconds": start,
            "seconds": seconds,
            "prompt_tokens": sum(len(template.encode(prompt)) for prompt in prompts),
            "answer_tokens": sum(each.new_tokens for _, answers in done for each in answers),
            "passes": passes,
            "median_seconds_of_a_pass": pass_seconds,
            "least_bytes_per_second": least / pass_seconds,
            "planned_bytes": plan.total,
            "used_bytes": used[0],
            "recorded": recorded(forward),
            "notes": engine.notes,
            "reasons": plan.reasons,
        }

    return {
        "one point, in place": lambda: measured([moved], "in-place"),
        "one point, in place, nothing recorded": lambda: measured([moved], "in-place", False),
        "one point, the reference": lambda: reference(
            model, weights, direction, template, given, prompts, clock
        ),
        "line, pool": lambda: measured(line, "pool"),
        "line, in place": lambda: measured(line, "in-place"),
        "line, as chosen": lambda: measured(line, "auto"),
    }


def running(engine: FastEngine, graphs: bool, reasons: object) -> Forward:
    """What runs the passes of an engine that has planned; without `graphs` none is recorded."""
    if engine.forward is None:
        raise RuntimeError(f"the fast engine does not take this model: {reasons}")
    if not graphs:
        engine.forward.record = None
    return engine.forward


def stamped(forward: Forward) -> list[float]:
    """When each pass that answers has ended, from now on; a pass waits for its results."""
    ends: list[float] = []
    own = forward.predictions

    def predictions(*args: Any) -> Any:
        found = own(*args)
        ends.append(time.perf_counter())
        return found

    forward.predictions = predictions  # type: ignore[method-assign]
    return ends


def recorded(forward: Forward) -> dict[str, Any] | None:
    """How many shapes of passes are recorded, and what stood in the way; None for no try."""
    graphs = forward._graphs
    return None if graphs is None else {"shapes": len(graphs._recorded), "failed": graphs.failed}


def reference(
    model: Any,
    weights: Weights,
    direction: Any,
    template: Template,
    given: argparse.Namespace,
    prompts: Any,
    clock: Clock,
) -> dict[str, Any]:
    """The published procedure at one displaced point."""
    asked = prompts[: given.reference_prompts]
    encoded = [template.encode(prompt) for prompt in asked]
    tokens = 0

    def work(new_tokens: int = given.max_new_tokens) -> None:
        nonlocal tokens
        for start in range(0, len(encoded), 4):
            batch, mask = padded(encoded[start : start + 4], 0, "left")
            output = model.generate(
                input_ids=batch.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=new_tokens,
                do_sample=True,
                top_p=0.0,
                temperature=1.0,
                top_k=50,
                use_cache=True,
                pad_token_id=0,
            )
            tokens += int(output.shape[0] * (output.shape[1] - batch.shape[1]))

    with weights.displaced([(0.1, direction)]), torch.no_grad():
        work(2)  # what a first call alone takes is not counted
        tokens = 0
        seconds = clock.of(work)
    return {
        "prompts": len(asked),
        "seconds": seconds,
        "seconds_of_all": seconds * len(prompts) / len(asked),
        "answer_tokens": tokens,
    }


def weights_bytes(model: Any) -> int:
    """What one pass reads at least: all weights, a separate table of embeddings left out."""
    total = sum(p.nbytes for p in model.parameters())
    inner, outer = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    return total - (inner.nbytes if inner is not outer else 0)


def free_cached(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def watched(device: str) -> Iterator[list[int]]:
    """The most memory that was allocated meanwhile, over what was before; 0 without a GPU."""
    used = [0]
    if device != "cuda":
        yield used
        return
    free_cached(device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield used
    used[0] = torch.cuda.max_memory_allocated() - before


def equality(given: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """In float32, each way held against the plain way: how many verdicts and answers differ.

    The packaged model is held against the plain way on the CPU; a model of another shape with
    random weights, which is too large for that, against the plain way on the device.
    """
    model, tokenizer = Checkpoint.parse("testbed:aligned").load("float32", "cpu")
    template = Template.of(tokenizer)
    prompts = list(load("testbed:harmful").sample(given.equality_prompts, 0).prompts)
    ways = Ways(model, template, prompts, Sampling(given.equality_tokens), clock)
    expected = ways.answers(ways.plain())
    found = {"testbed:aligned": ways.moved_to(given.device).each_against(expected)}
    name = given.equality_shape
    model = model_of(name, torch.float32, given.device)
    template, prompts = Template.of(tokenizer_of(name)), prompts_of(name, given.equality_prompts)
    ways = Ways(model, template, prompts, Sampling(given.equality_tokens), clock)
    found[name] = ways.each_against(ways.answers(ways.plain()))
    free_model(model)
    return found


class Ways:
    """Five points of a line answered by every way."""

    def __init__(
        self,
        model: Any,
        template: Template,
        prompts: list[Prompt],
        sampling: Sampling,
        clock: Clock,
    ) -> None:
        self.model = model
        self.template = template
        self.prompts = prompts
        self.sampling = sampling
        self.clock = clock
        self.weights = Weights(model)
        drawn = Gaussian(0, self.weights, name="d")
        self.directions = {"d": Resident(drawn, self.weights, model.device)}
        self.points = list(Plane((Axis.symmetric("d", EDGE, 4),)).points)

    def moved_to(self, device: str) -> Ways:
        model = self.model.to(device)
        return Ways(model, self.template, self.prompts, self.sampling, self.clock)

    def plain(self) -> PlainEngine:
        return PlainEngine(self.model, self.weights, self.directions, self.template)

    def answers(self, engine: Any) -> list[str]:
        done = dict(engine.answers(self.points, self.prompts, self.sampling))
        return [each.response for point in self.points for each in done[point]]

    def each_against(self, expected: list[str]) -> dict[str, Any]:
        found = {"plain": self.against(self.plain(), expected)}
        modes: tuple[Mode, ...] = ("in-place", "pool")
        for mode, drafts, graphs in product(modes, (False, True), (False, True)):
            engine = FastEngine(
                self.model,
                self.weights,
                self.directions,
                self.template,
                stop=StopRule(LLM_LANDSCAPE),
                mode=mode,
                drafts=drafts,
            )
            plan = engine.plan(self.points, self.prompts, self.sampling)
            forward = running(engine, graphs, plan.reasons)
            words = [mode, *(["drafts"] if drafts else []), *(["recorded"] if graphs else [])]
            found[", ".join(words)] = {
                **self.against(engine, expected),
                "ran": plan.mode,
                "recorded": recorded(forward),
            }
        return found

    def against(self, engine: Any, expected: list[str]) -> dict[str, Any]:
        ours: list[str] = []
        seconds = self.clock.of(lambda: ours.extend(self.answers(engine)))
        pairs = list(zip(ours, expected, strict=True))
        return {
            "seconds": seconds,
            "verdicts": len(pairs),
            "verdicts_that_differ": sum(refuses(a) != refuses(b) for a, b in pairs),
            # An answer may stop early, once its verdict is sure.
            "answers_that_begin_otherwise": sum(not b.startswith(a) for a, b in pairs),
        }


def refuses(answer: str) -> bool:
    return any(word in answer for word in LLM_LANDSCAPE)


def machine(device: str) -> dict[str, Any]:
    names = ("torch", "transformers", "numpy", "safetensors")
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "device": device,
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True)
        found |= {
            "card": properties.name,
            "memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "driver": done.stdout.strip(),
        }
    return found


class Parts:
    """Does one part after another and keeps what each gives, or why it failed, in a JSON file."""

    def __init__(self, out: Path | None, seconds: float) -> None:
        self.out = out
        self.seconds = seconds
        self.begin = time.perf_counter()
        self.value: dict[str, Any] = {"left_out": []}
        self.failed = False

    def do(self, holder: dict[str, Any], name: str, work: Callable[[], Any]) -> None:
        start = time.perf_counter()
        if start - self.begin > self.seconds:
            self.value["left_out"].append(name)
            return
        try:
            holder[name] = work()
        except Exception as error:  # the other parts still count
            self.failed = True
            holder[name] = {"error": f"{type(error).__name__}: {error}"}
            traceback.print_exc()
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        self.save()

    def save(self) -> None:
        self.value["seconds"] = time.perf_counter() - self.begin
        if self.out is not None:
            self.out.write_text(json.dumps(self.value, indent=1) + "\n", encoding="utf-8")


def of_shape(parts: Parts, name: str, given: argparse.Namespace, clock: Clock) -> None:
    """All that is measured with a model of one shape."""
    dtype = torch.bfloat16 if given.device == "cuda" else torch.float32
    holder: dict[str, Any] = parts.value.setdefault(name, {})
    model = model_of(name, dtype, given.device)
    parts.do(holder, "displacing", lambda: displacing(model, given, clock))
    for key, work in answering(model, name, given, clock).items():
        parts.do(holder, key, work)
    whole = holder.get("one point, the reference", {}).get("seconds_of_all")
    for measured in holder.values():
        if whole and "points" in measured:
            measured["times_the_reference"] = whole * measured["points"] / measured["seconds"]
    free_model(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["llama-1b", "llama-8b"])
    parser.add_argument("--prompts", type=int, default=80)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--points", type=int, default=STEPS + 1)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--reference-prompts", type=int, default=16)
    parser.add_argument("--equality-prompts", type=int, default=40)
    parser.add_argument("--equality-tokens", type=int, default=128)
    parser.add_argument("--equality-shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--seconds", type=float, default=420, help="begin no part after that")
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    clock = Clock(given.device)
    parts = Parts(given.out, given.seconds)
    parts.value["machine"] = machine(given.device)
    if "ceilings" in given.parts:
        parts.do(parts.value, "ceilings", lambda: ceilings(given, clock))
    if "equality" in given.parts:
        parts.do(parts.value, "equality", lambda: equality(given, clock))
    for name in given.shapes if "shapes" in given.parts else ():
        of_shape(parts, name, given, clock)
    parts.save()
    print(json.dumps(parts.value, indent=1))
    sys.exit(1 if parts.failed else 0)


if __name__ == "__main__":
    main()
