"""Two processes that hold a model divided between them, and what came out beside the whole model.

    python -m support.divided_ranks HOME

forks once everything is imported. Each process writes `rank-N.json`; the example of the
documentation is run by both, and then by one process alone.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.distributed import DistributedConfig

from safebasin import testbed
from safebasin.directions import digest, random_direction
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import SafebasinError
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights
from support import pico

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "divided_landscape.py"
PROMPTS = [Prompt(id=text, text=text) for text in ("one", "two two", "three", "four and five")]
IDS = torch.tensor([[1, 2, 3, 4, 5, 6]])


def loaded(folder: Path, dtype: torch.dtype, **more: Any) -> Any:
    made = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **more)
    return made.eval().requires_grad_(False)


def beside(folder: Path, dtype: torch.dtype) -> tuple[dict[str, Any], list[Any], list[Weights]]:
    """What a divided model gives, held against the whole one in the same process; and the two."""
    pair = [
        loaded(folder, dtype, distributed_config=DistributedConfig(tp_size=2)),
        loaded(folder, dtype),
    ]
    weights = [Weights(model) for model in pair]
    before = weights[0].checksum()
    found: dict[str, Any] = {
        "divided": [one.divided for one in weights],
        "share": weights[0].pristine_bytes / weights[1].pristine_bytes,
        "undisplaced": before == weights[1].checksum(),
        "displaced": {},
        "logits": [],
    }
    for law in ("stream", "counter"):
        for normalise in ("tensor", "row"):
            drawn = [random_direction(1, one, normalise, law) for one in weights]  # type: ignore[arg-type]
            ways = [digest(d, one) for d, one in zip(drawn, weights, strict=True)]
            same = [ways[0] == ways[1]]
            with weights[0].displaced([(-0.7, drawn[0])]), weights[1].displaced([(-0.7, drawn[1])]):
                same.append(weights[0].checksum() == weights[1].checksum())
                same.append(weights[0].checksum() != before)
                with torch.inference_mode():
                    ours, whole = (model(input_ids=IDS).logits.double() for model in pair)
                found["logits"].append(float((ours - whole).norm() / whole.norm()))
            found["displaced"][f"{law} {normalise}"] = same
    found["restored"] = weights[0].checksum() == before
    return found, pair, weights


def answered(folder: Path, pair: list[Any], weights: list[Weights]) -> dict[str, Any]:
    """The same of the answers of both engines."""
    found: dict[str, Any] = {}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    points = [Point(), Point.of({"d": 0.2})]
    for kind in (PlainEngine, FastEngine):
        texts = []
        for model, own in zip(pair, weights, strict=True):
            directions = {"d": random_direction(1, own)}
            engine: Any = kind(model, own, directions, Template.of(tokenizer))
            texts.append(
                [
                    (point.terms, [exchange.response for exchange in exchanges])
                    for point, exchanges in engine.answers(points, PROMPTS, Sampling(8))
                ]
            )
            if kind is FastEngine and own.divided:
                found["fast"] = engine.forward is not None and engine.counter.passes > 0
        found[kind.__name__] = texts[0] == texts[1]
    try:
        FastEngine(pair[0], weights[0], {}, Template.of(tokenizer), mode="pool")
    except SafebasinError as error:
        found["pool"] = str(error)
    return found


def example(home: Path, processes: int) -> None:
    model = str(testbed.model_path("aligned"))
    made = runpy.run_path(str(EXAMPLE))
    small = made["main"]
    small.__globals__.update(STEPS=1, LIMIT=4, TOKENS=40)
    small(model, "testbed:harmful", str(home / f"landscape-{processes}.json"))


def rank_of_two(home: Path, rank: int, port: int) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )  # fmt: skip
    untied, *made = beside(home / "llama", torch.float32)
    tied, *_ = beside(home / "qwen2", torch.bfloat16)
    found = {"untied": untied, "tied": tied, "answers": answered(home / "llama", *made)}
    (home / f"rank-{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    example(home, 2)
    torch.distributed.destroy_process_group()


def main(home: Path) -> None:
    warnings.simplefilter("ignore")  # of forks, and the library's own
    pico.save(home / "llama")
    pico.save(home / "qwen2", "qwen2", tied=True, dtype=torch.bfloat16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(2):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                rank_of_two(home, rank, port)
                code = 0
            except BaseException as error:
                sys.excepthook(type(error), error, error.__traceback__)
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    if any(ends):
        sys.exit(1)
    example(home, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
