"""Draws the model's own answers to harmless prompts, as rows to train on.

    python benchmarks/real_own_answers.py runs/real/smollm2 runs/real/own.jsonl \\
      practice:benign benchmarks/real/requests_benign.jsonl

They are drawn at temperature 1 from all tokens, and not the likeliest ones: a model that is trained
on its own likeliest answers grows surer than it was, and a public text becomes less likely to it.
Refusals are left out. Of an answer that was cut at the token limit no end is learnt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from safebasin import prompts
from safebasin.checkpoint import Checkpoint
from safebasin.engines.padding import padded
from safebasin.engines.template import Template
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.prompts import Prompt

BATCH = 32


def drawn(
    model: Any, template: Template, asked: list[Prompt], new_tokens: int, *, likeliest: bool = False
) -> Iterator[tuple[str, bool]]:
    """For each prompt the answer, and whether it ended by itself."""
    tokenizer = template.tokenizer
    own = model.generation_config.eos_token_id
    ends = {own} if isinstance(own, int) else set(own)
    how = {} if likeliest else {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    for start in range(0, len(asked), BATCH):
        encoded = [template.encode(prompt) for prompt in asked[start : start + BATCH]]
        ids, mask = padded(encoded, tokenizer.eos_token_id, "left")
        with torch.no_grad():
            output = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=new_tokens,
                do_sample=not likeliest,
                pad_token_id=tokenizer.eos_token_id,
                **how,
            )
        for row in output[:, ids.shape[1] :].tolist():
            text = tokenizer.decode(row, skip_special_tokens=True).strip()
            yield text, not ends.isdisjoint(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("prompts", nargs="+", help="sets by name, or files")
    parser.add_argument("--draws", type=int, default=2, help="answers to each prompt")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    model, tokenizer = Checkpoint.parse(given.model).load("float32", "cpu")
    template = Template.of(tokenizer)
    asked = [one for source in given.prompts for one in prompts.load(source).prompts]
    torch.manual_seed(given.seed)
    rows = []
    for _ in range(given.draws):
        for prompt, (answer, ended) in zip(
            asked, drawn(model, template, asked, given.max_new_tokens), strict=True
        ):
            if answer and not any(word in answer for word in LLM_LANDSCAPE):
                rows.append({"prompt": prompt.text, "completion": answer, "ended": ended})
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    print(f"rows     {given.out}, {len(rows)} of {given.draws * len(asked)} answers")


if __name__ == "__main__":
    main()
