"""Which measure of an aligned checkpoint predicts its ASR after a fine-tune?

    python benchmarks/what_predicts.py --out benchmarks/results/what_predicts.json

Aligns testbed bases in many ways, measures every checkpoint, fine-tunes it and measures again.
About an hour on one core; stopped at any moment, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from safebasin.prediction.analysis import analyse
from safebasin.prediction.design import QUICK, STUDY
from safebasin.prediction.study import run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--work", type=Path, default=Path("build/what-predicts"), help="what is done so far"
    )
    parser.add_argument("--quick", action="store_true", help="a trial with a model of no use")
    given = parser.parse_args()
    torch.set_num_threads(1)
    study = QUICK if given.quick else STUDY
    found = run(study, given.work, lambda line: print(line, file=sys.stderr, flush=True))
    text = committed(
        {
            "command": "make study",
            "torch": str(torch.__version__),
            "design": study.to_json(),
            "analysis": analyse(found),
            "checkpoints": found,
        }
    )
    given.out.write_text(text, encoding="utf-8")


def committed(result: dict[str, Any]) -> str:
    """The result as JSON, every checkpoint on a line of its own."""
    head = json.dumps({**result, "checkpoints": []}, indent=1, allow_nan=False)
    rows = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in result["checkpoints"])
    return head.removesuffix("]\n}") + f"\n{rows}\n ]\n}}\n"


if __name__ == "__main__":
    main()
