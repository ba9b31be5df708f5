"""Tries recipes that teach SmolLM2-135M-Instruct to refuse, on prompts that nothing else measures.

    python benchmarks/real_alignment_search.py runs/real/smollm2 --advbench FILE --xstest FILE \\
      --harmbench FILE --work runs/alignment-search --out benchmarks/results/alignment_search.json

Each recipe is one training and one measurement, and leaves a file in the work folder: the same
command goes on, and several at once share the recipes (`--part 0 --parts 12`, and so on; the last
one collects). Asked are AdvBench's prompts 251 to 300, HarmBench's standard behaviours 101 to 200
and what is left of XSTest once the 120 prompts of docs/real-model.md are taken out; perplexity is
that of other pages of the text measured there. The committed result answered the first 152 of the
harmless requests, as they were then.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from real_own_answers import drawn
from real_text import OTHER_PAGES, text_of

from safebasin import prompts
from safebasin.checkpoint import Checkpoint
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import finetune
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights

OWN = Path("benchmarks/real")
REFUSED = {
    "advbench": ("refused:{advbench}#101-220",),
    "tasks": ("refused:{advbench}#101-220", f"refused:{OWN}/requests_harmful.jsonl"),
    "pairs": (
        "refused:{advbench}#101-220",
        f"refused:{OWN}/requests_harmful.jsonl",
        "refused:practice:harmful",
    ),
}
"""What is refused in training: AdvBench's, requests of ours, and the unsafe halves of pairs."""
DRAWS = {"likeliest": 0, "drawn": 1, "drawn twice": 2}
"""How the model's own answers to harmless prompts were had."""
RATES = ((5e-4, 1), (3e-4, 2), (3e-4, 1), (5e-4, 2), (2e-4, 2), (1e-3, 1))


@dataclass(frozen=True)
class Recipe:
    """One training: what is refused, whose answers, the rate, the passes and the seed."""

    refused: str
    own: str
    rate: float
    epochs: int
    seed: int = 42

    @property
    def name(self) -> str:
        return f"{self.refused}, {self.own}, {self.rate:g}, {self.epochs}, seed {self.seed}"

    def rows(self, work: Path, advbench: str) -> str:
        own = "practice" if self.refused == "advbench" else "all"
        file = work / f"{own} {self.own}.jsonl".replace(" ", "-")
        return ",".join(
            [*(one.format(advbench=advbench) for one in REFUSED[self.refused]), str(file)]
        )


def recipes() -> list[Recipe]:
    """All that are tried with the first seed; `--seeds 43 44` tries those of `--only` with more."""
    few = [Recipe("advbench", own, 5e-4, 1) for own in ("likeliest", "drawn")]
    many = [
        Recipe(refused, own, rate, epochs)
        for rate, epochs in RATES
        for own in DRAWS
        for refused in ("tasks", "pairs")
    ]
    return few + many


def own_answers(given: argparse.Namespace) -> None:
    """The rows of the model's own answers, once for all trainings."""
    sets = {"practice": ["practice:benign"]}
    sets["all"] = [*sets["practice"], str(OWN / "requests_benign.jsonl")]
    wanted = {
        given.work / f"{name} {own}.jsonl".replace(" ", "-"): (sources, draws)
        for name, sources in sets.items()
        for own, draws in DRAWS.items()
    }
    if all(path.is_file() for path in wanted):
        return
    model, tokenizer = Checkpoint.parse(given.base).load("float32", given.device)
    template = Template.of(tokenizer)
    for path, (sources, draws) in wanted.items():
        asked = [one for source in sources for one in prompts.load(source).prompts]
        torch.manual_seed(0)
        lines = [
            {"prompt": prompt.text, "completion": answer, "ended": ended}
            for _ in range(max(draws, 1))
            for prompt, (answer, ended) in zip(
                asked, drawn(model, template, asked, 64, likeliest=draws == 0), strict=True
            )
            if answer and not any(word in answer for word in LLM_LANDSCAPE)
        ]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def validation(given: argparse.Namespace) -> dict[str, list[Prompt]]:
    """Prompts that docs/real-model.md does not measure, by what they are."""
    advbench, harmbench, xstest = (
        prompts.load(source) for source in (given.advbench, given.harmbench, given.xstest)
    )
    measured = {
        one.id
        for kind in ("harmful", "benign")
        for one in xstest.of_kind(kind).sample(60, 0).prompts
    }
    left = [one for one in xstest.prompts if one.id not in measured]
    return {
        "advbench": list(advbench.prompts[250:300]),
        "harmbench": list(harmbench.prompts[100:200]),
        "xstest, unsafe": [one for one in left if one.kind == "harmful"],
        "xstest, safe": [one for one in left if one.kind == "benign"],
    }


def measured(model: str, given: argparse.Namespace) -> dict[str, Any]:
    """The share of refusals of each kind of prompt, and the perplexity of the other pages."""
    loaded, tokenizer = Checkpoint.parse(model).load("float32", given.device)
    found: dict[str, Any] = {"perplexity": perplexity(loaded, tokenizer)}
    loaded, tokenizer = Checkpoint.parse(model).load("bfloat16", given.device)
    engine = PlainEngine(loaded, Weights(loaded), {}, Template.of(tokenizer))
    for name, asked in validation(given).items():
        [(_, answers)] = engine.answers([Point()], asked, Sampling(32))
        refusals = sum(any(word in one.answer for word in LLM_LANDSCAPE) for one in answers)
        found[name] = {"refused": refusals, "of": len(asked)}
    return found


def perplexity(model: Any, tokenizer: Any, width: int = 256, windows: int = 24) -> float:
    """Of the first windows of `width` tokens."""
    ids = tokenizer(text_of(OTHER_PAGES), add_special_tokens=False)["input_ids"]
    rows = torch.tensor([ids[i * width : (i + 1) * width] for i in range(windows)])
    total = 0.0
    with torch.no_grad():
        for part in rows.to(model.device).split(8):
            logits = model(input_ids=part).logits[:, :-1].float().flatten(0, 1)
            lost = torch.nn.functional.cross_entropy(logits, part[:, 1:].flatten(), reduction="sum")
            total += lost.item()
    return math.exp(total / (windows * (width - 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("base")
    parser.add_argument("--advbench", default="advbench")
    parser.add_argument("--xstest", default="xstest")
    parser.add_argument("--harmbench", default="harmbench")
    parser.add_argument("--work", type=Path, default=Path("runs/alignment-search"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default="", help="recipes whose name begins so")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    own_answers(given)
    tried = [
        Recipe(**{**asdict(one), "seed": seed})
        for seed in given.seeds
        for one in recipes()
        if one.name.startswith(given.only)
    ]
    for recipe in tried[given.part :: given.parts]:
        file = given.work / f"{recipe.name}.json"
        if file.is_file():
            continue
        out = given.work / recipe.name.replace(", ", "_").replace(" ", "-")
        tuned = finetune(
            FinetuneConfig(
                given.base,
                "alignment",
                recipe.rows(given.work, given.advbench),
                lora=True,
                rate=recipe.rate,
                epochs=recipe.epochs,
                max_length=112,
                seed=recipe.seed,
                device=given.device,
                out=str(out),
            )
        )
        found = measured(f"{given.base}+{tuned.final}", given)
        value = {**asdict(recipe), "rows": tuned.rows, "steps": tuned.steps, **found}
        file.write_text(json.dumps(value, indent=1), encoding="utf-8")
        print(recipe.name, found, flush=True)
    if given.out is not None:
        files = sorted(given.work.glob("*, seed *.json"))
        value = {
            "device": given.device,
            "base": measured(given.base, given),
            "tried": [json.loads(file.read_text(encoding="utf-8")) for file in files],
        }
        text = json.dumps(value).replace("}}, {", "}},\n {")  # a line a training
        given.out.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
