"""Where the time of answering goes on a real model, by kind of operator.

One displaced point of SmolLM2-135M-Instruct (`make real-quick` brings it), 40 of AdvBench's
prompts, 64 tokens, the fast engine as `safebasin scan` starts it, by PyTorch's profiler. An
operator counts with its own time, without that of the operators that it calls; what is left of the
wall clock is Python and the scheduling between operators. The profiler itself takes time, which is
told by the same work without it.

    python benchmarks/real_profile.py --advbench FILE --out benchmarks/results/real_profile.json
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from real_speed import asked, write

KINDS = {
    "products": ("linear", "addmm", "mm", "matmul", "mkldnn", "linear_pointwise"),
    "attention": ("scaled_dot_product", "bmm", "softmax", "baddbmm"),
    "choosing tokens": ("argmax", "log_softmax", "topk", "sort", "max", "logsumexp"),
    "moving": (
        "copy_", "cat", "index", "gather", "clone", "contiguous", "stack", "fill_", "scatter",
        "zeros", "empty", "arange", "_to_copy", "to", "select", "slice", "narrow", "view",
        "reshape", "transpose", "expand", "permute", "unsqueeze", "as_strided", "resize_", "t",
        "split", "unbind", "item", "_local_scalar_dense", "full", "repeat", "zero_", "pad",
        "constant_pad_nd", "masked_fill", "squeeze", "chunk", "detach", "lift_fresh",
    ),
    "elementwise": (
        "mul", "add", "sub", "div", "rsqrt", "pow", "mean", "silu", "neg", "rms_norm", "exp",
        "sin", "cos", "sum", "where", "eq", "ne", "lt", "gt", "le", "ge", "sigmoid", "square",
        "bitwise", "logical", "cumsum", "isfinite", "abs", "any", "all", "addcmul", "norm",
        "maximum", "minimum", "clamp", "gelu", "aminmax", "fused_rms_norm",
    ),
}  # fmt: skip
"""By the beginnings of operators' names, after the namespace; the longest that fits counts."""
OTHER, BETWEEN = "other operators", "between operators"


def kind_of(operator: str) -> str:
    """The kind of an operator such as aten::addmm; OTHER where no name fits."""
    space, _, name = operator.rpartition("::")
    if space.startswith("mkldnn"):
        return "products"
    fitting = [
        (len(start), kind)
        for kind, starts in KINDS.items()
        for start in starts
        if name.lstrip("_").startswith(start.lstrip("_"))
    ]
    return max(fitting)[1] if fitting else OTHER


def by_kind(operators: dict[str, float], wall: float) -> dict[str, float]:
    """Seconds by kind, of operators' own times in seconds; what is left of the wall is BETWEEN."""
    found: dict[str, float] = defaultdict(float)
    for name, seconds in operators.items():
        found[kind_of(name)] += seconds
    found[BETWEEN] = max(wall - sum(found.values()), 0.0)
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def profiled(given: argparse.Namespace) -> dict[str, Any]:
    """Answer one displaced point without the profiler and with it."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from safebasin.checkpoint import Checkpoint
    from safebasin.directions import Gaussian, Resident
    from safebasin.engines import Sampling
    from safebasin.engines.fast.engine import FastEngine
    from safebasin.engines.template import Template
    from safebasin.judges.keywords import LLM_LANDSCAPE
    from safebasin.plane import Axis, Plane
    from safebasin.prompts import load
    from safebasin.stopping import StopRule
    from safebasin.weights import Weights

    torch.set_num_threads(given.cores)
    model, tokenizer = Checkpoint.parse(given.model).load(given.dtype, "cpu")
    prompts = load(asked(given)).prompts[: given.limit]
    weights = Weights(model)
    directions = {"d": Resident(Gaussian(0, weights, name="d"), weights, workers=1)}
    engine = FastEngine(
        model, weights, directions, Template.of(tokenizer), stop=StopRule(LLM_LANDSCAPE),
        scores=False,
    )  # fmt: skip
    points = [p for p in Plane((Axis.symmetric("d", 0.05, 2),)).points if not p.is_origin][:1]
    sampling = Sampling(given.max_new_tokens)
    engine.plan(points, prompts, sampling)

    def work() -> float:
        start = time.perf_counter()
        list(engine.answers(points, prompts, sampling))
        return time.perf_counter() - start

    work()
    plain = work()
    with profile(activities=[ProfilerActivity.CPU]) as record:
        wall = work()
    averages = record.key_averages()
    operators = {one.key: one.self_cpu_time_total / 1e6 for one in averages}
    calls = {one.key: one.count for one in averages}
    most = sorted(operators, key=lambda name: -operators[name])[: given.most]
    return {
        "seconds": round(plain, 2),
        "seconds_profiled": round(wall, 2),
        "kinds": {name: round(s, 3) for name, s in by_kind(operators, wall).items()},
        "operators": [
            {"name": name, "kind": kind_of(name), "seconds": round(operators[name], 3),
             "calls": calls[name]}
            for name in most
        ],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", default="runs/real/smollm2", help="a folder or a hub's name")
    parser.add_argument("--advbench", help="AdvBench's file, where the hub has it not")
    parser.add_argument("--prompts", default="", help="another set of prompts")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--most", type=int, default=12, help="operators that are named")
    given = parser.parse_args()
    value = {
        "model": "SmolLM2-135M-Instruct",
        "dtype": given.dtype,
        "cores": given.cores,
        "prompts": given.limit,
        "max_new_tokens": given.max_new_tokens,
        **profiled(given),
        "load": round(os.getloadavg()[0], 2),
    }
    write(value, given.out)


if __name__ == "__main__":
    main()
