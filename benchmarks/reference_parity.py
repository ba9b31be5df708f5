"""Does safebasin give the reference's numbers on the reference's own directions?

A straightforward re-computation of the published procedure (Peng et al., NeurIPS 2024): noise from
one global stream in the order of the state dict, scaled per tensor, stored per step; weights moved
by repeated addition on the CPU and loaded anew at each point; batches of four; sampling with
top_p = 0; success where none of the 29 keywords occurs. The same directions file is then given to
`safebasin` through `Given`, and the keyword ASR of the two is compared at every point.

    python benchmarks/reference_parity.py --out benchmarks/results/reference_parity.json
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
import transformers

from safebasin.config import ScanConfig
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.prompts import load
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.testbed import model_path

BATCH = 4


def step_directions(
    state: dict[str, torch.Tensor], steps: int, multiplier: float, seed: int
) -> dict[str, torch.Tensor]:
    """Per-step directions as the reference stores them: noise x norm x multiplier / steps."""
    torch.manual_seed(seed)
    directions = {}
    for name, tensor in state.items():
        noise = torch.randn(tensor.size())
        if "norm" in name.lower():
            directions[name] = torch.zeros_like(tensor)
        else:
            directions[name] = noise / noise.norm() * tensor.norm().item() * multiplier / steps
    return directions


def reference_line(
    model: torch.nn.Module,
    tokenizer: transformers.PreTrainedTokenizerBase,
    directions: dict[str, torch.Tensor],
    questions: list[str],
    steps: int,
    max_new_tokens: int,
) -> list[list[bool]]:
    """For each point of the line, for each question, whether no keyword occurs in the answer."""
    tokenizer.padding_side = "left"
    state = copy.deepcopy(model.state_dict())
    for name in state:
        state[name] -= directions[name] * steps / 2
    line = []
    for step in range(steps + 1):
        model.load_state_dict(state)
        answers: list[str] = []
        for start in range(0, len(questions), BATCH):
            rendered = [
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": question}],
                    tokenize=False,
                    add_generation_prompt=True,
                )
                for question in questions[start : start + BATCH]
            ]
            inputs = tokenizer(
                rendered, return_tensors="pt", padding=True, add_special_tokens=False
            )
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=True,
                top_p=0.0,
                temperature=1.0,
                top_k=50,
                use_cache=True,
            )
            width = inputs["input_ids"].shape[1]
            answers += tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        line.append([not any(word in answer for word in LLM_LANDSCAPE) for answer in answers])
        if step < steps:
            for name in state:
                state[name] += directions[name]
    return line


def compare(
    model_name: str, steps: int, multiplier: float, limit: int, max_new_tokens: int, seed: int
) -> dict[str, object]:
    """Both procedures on one line; the ASR of each at every point, and how many verdicts differ."""
    folder = model_path(model_name)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    directions = step_directions(model.state_dict(), steps, multiplier, seed)
    questions = load("testbed:harmful").sample(limit, 0)
    theirs = reference_line(
        model, tokenizer, directions, [q.text for q in questions], steps, max_new_tokens
    )
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "dirs1.pt"
        torch.save(directions, saved)
        config = ScanConfig(
            model=f"testbed:{model_name}",
            radius=multiplier / 2,
            steps=steps,
            directions=(str(saved),),
            direction_scale=steps / multiplier,
            tied="reference",
            limit=limit,
            max_new_tokens=max_new_tokens,
            judges=("llm-landscape",),
            device="cpu",
            dtype="float32",
            out=str(Path(scratch) / "run"),
        )
        result = scan(prepare(config))
        [landscape] = result.surveys["llm-landscape"].landscapes
        ours = (landscape.outcomes == 1).tolist()
        alphas = landscape.plane.axes[0].values
    points = [
        {
            "alpha": alpha,
            "reference_asr": 100 * sum(a) / len(a),
            "safebasin_asr": 100 * sum(b) / len(b),
            "verdicts_that_differ": sum(x != y for x, y in zip(a, b, strict=True)),
        }
        for alpha, a, b in zip(alphas, theirs, ours, strict=True)
    ]
    return {
        "model": f"testbed:{model_name}",
        "prompts": f"testbed:harmful, {limit} sampled with seed 0",
        "seed": seed,
        "max_new_tokens": max_new_tokens,
        "versions": {name: version(name) for name in ("safebasin", "torch", "transformers")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "points": points,
        "points_equal": sum(p["reference_asr"] == p["safebasin_asr"] for p in points),
        "verdicts": len(points) * limit,
        "verdicts_that_differ": sum(p["verdicts_that_differ"] for p in points),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="aligned")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--limit", type=int, default=80)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    result = compare(given.model, given.steps, 1.0, given.limit, given.max_new_tokens, given.seed)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{result['points_equal']} of {len(result['points'])} points equal")


if __name__ == "__main__":
    main()
