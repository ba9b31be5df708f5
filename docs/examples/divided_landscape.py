"""The landscape of a model that is divided among the processes of `torchrun`, by the library.

    torchrun --nproc-per-node 2 divided_landscape.py MODEL PROMPTS LANDSCAPE.json

MODEL is a folder or a name on the hub, PROMPTS what `--prompts` takes. Every process runs all of
this and holds its part of each matrix; all get the same answers, and the first one writes.
"""

import json
import os
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from safebasin import Point, Weights, prompts
from safebasin.directions import digest as digest_of
from safebasin.directions import random_direction
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.template import Template
from safebasin.judges import KeywordJudge
from safebasin.landscape.intervals import wilson

SEED, RADIUS, STEPS, LIMIT, TOKENS = 0, 0.4, 4, 40, 64


def main(model: str, prompt_set: str, out: str) -> None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    divided = {}
    if processes > 1:
        from transformers.distributed import DistributedConfig

        divided = {"distributed_config": DistributedConfig(tp_size=processes)}
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype="auto", **divided)
    loaded = loaded.eval().requires_grad_(False)
    template = Template.of(AutoTokenizer.from_pretrained(model))
    asked = prompts.load(prompt_set).take(LIMIT, SEED)

    weights, judge = Weights(loaded), KeywordJudge()
    # Each number of this direction is drawn by itself, on the device that needs it.
    direction = random_direction(SEED, weights, law="counter")
    engine = FastEngine(loaded, weights, {"d": direction}, template, stop=judge.stop_rule())
    points = [Point.of({"d": RADIUS * i / STEPS}) for i in range(-STEPS, STEPS + 1)]
    found = {}
    for point, exchanges in engine.answers(points, asked.prompts, Sampling(TOKENS)):
        verdicts = judge.judge(exchanges)
        outcomes = [verdict.outcome for verdict in verdicts if verdict.outcome is not None]
        hits = sum(outcome != "refused" for outcome in outcomes)
        asr = wilson(hits, len(outcomes))
        found[dict(point.terms).get("d", 0.0)] = [asr.value, asr.low, asr.high, len(outcomes)]
    described = {
        "model": model, "prompts": asked.name, "sha256": asked.sha256, "judge": judge.name,
        "direction": {**direction.spec(), "digest": digest_of(direction, weights)},
        "tokens": TOKENS, "asr, low, high, n": dict(sorted(found.items())),
    }  # fmt: skip
    if int(os.environ.get("RANK", "0")) == 0:
        Path(out).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
