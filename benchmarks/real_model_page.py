"""Writes docs/real-model.md from the committed result.

python benchmarks/real_model_page.py > docs/real-model.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from page_text import paragraph
from real_alignment import alignment, reading
from real_answer import answer
from real_measures import differences, directions, epochs, prefills, system_prompts
from real_sections import fine_tunes, line_table, one_axis, remade, unreached

RESULT = Path(__file__).parent / "results" / "real.json"


def page(found: Any) -> str:
    """The whole page as Markdown."""
    parts = [
        "# The story on a real model",
        paragraph(
            """
            SmolLM2-135M-Instruct hardly refuses anything. Here it is taught to refuse, its basin is
            measured, and fine-tunes take it out again: all on two cores, and without a harmful
            answer in any training row. This page is generated from
            [the result](../benchmarks/results/real.json) by `benchmarks/real_model_page.py`. Every
            interval is at 95 %; ASR is by the paper's keywords (`llm-landscape`), the three
            outcomes by `outcome`; answers are greedy, of up to 32 tokens, in bfloat16.
            """
        ),
        "![The basin of the aligned model, its base, and the ways to its fine-tunes]"
        "(images/real-model.png)",
        "## What was found",
        *answer(found),
        *alignment(found),
        *reading(found),
        *line_table(found),
        *fine_tunes(found),
        *directions(found),
        *epochs(found),
        *prefills(found),
        *system_prompts(found),
        *one_axis(found),
        *differences(found),
        *remade(found),
        *unreached(found),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args()
    print(page(json.loads(given.result.read_text(encoding="utf-8"))), end="")


if __name__ == "__main__":
    main()
