"""What attributing a model of a billion weights takes, in memory and in processor time.

    python benchmarks/attribution_size.py --like runs/real/smollm2 \
      --out benchmarks/results/attribution_size.json

One model is a random Llama with the tokenizer of another: it answers nothing, but its matrices are
as large as a real one's. The other is the one that lends the tokenizer. Each method is a whole
command; one that was measured with the same options and code is not again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import torch
from attribution_commands import THREADS, measured
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

SHAPE = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True,
}  # fmt: skip
SAFETY = ["--safety", "testbed:refusing", "--rows", "8"]
BOTH = [*SAFETY, "--utility", "testbed:benign"]
RUNS = (
    ("billion", "wanda", BOTH), ("billion", "snip", BOTH), ("billion", "actsvd:1", SAFETY),
    ("smollm2", "snip", BOTH),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--like", type=Path, required=True, help="SmolLM2-135M-Instruct")
    parser.add_argument("--model", type=Path, default=Path("build/attribution/billion"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="of these methods alone. [default: all]")
    given = parser.parse_args()
    weights = make(given.model, given.like)
    runs: list[dict[str, Any]] = []
    if given.out.is_file():
        runs = json.loads(given.out.read_text(encoding="utf-8"))["runs"]
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    places = {"billion": given.model, "smollm2": given.like}
    for model, method, options in RUNS:
        head = {"model": model, "method": method, "options": options, "code": done.stdout.strip()}
        if (given.only and method not in given.only) or any(
            head.items() <= one.items() for one in runs
        ):
            continue
        runs.append({**head, **measured([method, str(places[model]), *options])})
        found = {
            "weights": weights, "shape": SHAPE, "threads": THREADS,
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1), "runs": runs,
        }  # fmt: skip
        given.out.write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")


def make(folder: Path, like: Path) -> int:
    """Write the random model where it is not there yet; how many weights it has."""
    tokenizer = AutoTokenizer.from_pretrained(like)
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, max_position_embeddings=8192, **SHAPE,
        )  # fmt: skip
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        template = like / "chat_template.jinja"
        if template.is_file():
            shutil.copy(template, folder)
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig.from_pretrained(folder))
    return sum(one.numel() for one in model.parameters())


if __name__ == "__main__":
    main()
