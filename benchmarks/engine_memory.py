"""How much memory a scan of a model of 135 million parameters takes, beyond its weights and cache.

The shape is that of SmolLM2-135M with random weights in float32. Every run is a process of its
own that loads the checkpoint and answers at a few points; the peak is that of its resident memory
over what it had before the model was loaded.

    python benchmarks/engine_memory.py --out benchmarks/results/engine_memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

SHAPE = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
LIMITS = {"pool": 3.2, "in-place, no copy": 2.2, "in-place": None, "plain": None}
"""By mode; `no copy` is what happens where memory is too short for one in oneDNN's order."""
POINTS, PROMPTS, NEW_TOKENS = 4, 12, 24


def resident(field: str) -> int:
    """Resident memory of this process in bytes: VmRSS now, VmHWM at most so far (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if field in line))


def save_model(folder: Path) -> None:
    """Write random weights of the shape, with the packaged model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from safebasin.testbed import model_path

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(model_path("aligned"))
    config = LlamaConfig(**SHAPE, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measure(folder: Path, mode: str) -> dict[str, Any]:
    """Answer in one mode; bytes of the weights, of the cache, and of the peak."""
    import torch
    from transformers import LlamaForCausalLM  # noqa: F401 (its code is no part of the model)

    from safebasin.checkpoint import Checkpoint
    from safebasin.directions import Gaussian
    from safebasin.engines import Engine, Sampling
    from safebasin.engines.fast import copies
    from safebasin.engines.fast.engine import FastEngine
    from safebasin.engines.plain import PlainEngine
    from safebasin.engines.template import Template
    from safebasin.plane import Axis, Plane, outward
    from safebasin.prompts import load
    from safebasin.weights import Weights

    torch.set_num_threads(1)
    mode, *without = mode.split(", ")
    if without:
        copies.SHARE_OF_FREE = 0.0
    prompts = load("testbed:harmful").sample(PROMPTS, 0).prompts
    before = resident("VmRSS")
    model, tokenizer = Checkpoint.parse(str(folder)).load("float32", "cpu")
    weights = Weights(model)
    directions = {"d": Gaussian(0, weights, name="d")}
    template = Template.of(tokenizer)
    points = outward([Plane((Axis.symmetric("d", 0.1, POINTS),))])
    sampling = Sampling(NEW_TOKENS)
    cache = 0
    engine: Engine
    if mode == "plain":
        engine = PlainEngine(model, weights, directions, template)
    else:
        fast = FastEngine(model, weights, directions, template, mode=mode)  # type: ignore[arg-type]
        plan = fast.plan(points, prompts, sampling)
        if plan.mode != mode:
            raise RuntimeError(f"planned {plan.mode}, not {mode}: {plan.text()}")
        cache, engine = plan.cache + plan.scores + plan.logits, fast
    answered = sum(len(e) for _, e in engine.answers(points, prompts, sampling))
    return {
        "mode": ", ".join([mode, *without]),
        "answers": answered,
        "weights": sum(p.numel() * p.element_size() for p in model.parameters()),
        "cache": cache,
        "peak": resident("VmHWM") - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--mode", choices=tuple(LIMITS))
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    if given.mode is not None:
        print(json.dumps(measure(given.model, given.mode)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        save_model(Path(scratch))
        for mode, limit in LIMITS.items():
            command = [sys.executable, __file__, "--mode", mode, "--model", scratch]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(done.stderr)
            row = json.loads(done.stdout.splitlines()[-1])
            row["times_the_weights"] = round((row["peak"] - row["cache"]) / row["weights"], 2)
            row["limit"] = limit
            print(row, flush=True)
            rows.append(row)
    value = {
        "command": "python benchmarks/engine_memory.py --out FILE",
        "shape": SHAPE,
        "points": POINTS + 1,
        "prompts": PROMPTS,
        "new_tokens": NEW_TOKENS,
        "rows": rows,
        "versions": {name: version(name) for name in ("safebasin", "torch", "transformers")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
    }
    if given.out is not None:
        given.out.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
