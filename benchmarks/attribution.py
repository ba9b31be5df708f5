"""What removing the located weights, ranks and layers does to a model, beside random controls.

    python benchmarks/attribution.py --out benchmarks/results/attribution.json
    python benchmarks/attribution.py --out benchmarks/results/attribution_real.json \
      --model runs/real/aligned --base runs/real/smollm2 --own runs/real/own

Without --model the packaged pair is measured: some minutes on one core. The aligned SmolLM2 of
docs/real-model.md takes about forty, with smaller budgets (attribution_plan.py has both). Stopped
at any moment, the same command goes on; --so-far writes what was measured until then.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from attribution_cases import Laboratory
from attribution_plan import REAL, TESTBED


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("build/attribution"))
    parser.add_argument("--model", help="the aligned SmolLM2, as a folder")
    parser.add_argument("--base", help="what it was aligned from")
    parser.add_argument("--own", help="the run with its own answers to practice:benign")
    parser.add_argument("--advbench", type=Path, help="AdvBench's CSV. [default: from the hub]")
    parser.add_argument("--xstest", type=Path, help="XSTest's CSV. [default: from the hub]")
    parser.add_argument(
        "--so-far", action="store_true", help="write what was measured, and no more"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    plan = TESTBED
    if given.model is not None:
        advbench, xstest = (
            name if file is None else f"{name}={file}"
            for name, file in (("advbench", given.advbench), ("xstest", given.xstest))
        )
        plan = REAL.at(given.model, given.base, given.own, advbench, xstest)
    given.work.mkdir(parents=True, exist_ok=True)
    laboratory = Laboratory(plan, given.work / f"{plan.name}.jsonl")
    started = time.process_time()
    for _ in () if given.so_far else laboratory.run():
        pass
    print(f"{time.process_time() - started:.0f} s of CPU")
    # The plan as it is committed, without the places of files on this machine.
    own = TESTBED if given.model is None else REAL
    found = {"plan": own.to_json(), "torch": str(torch.__version__), "cases": laboratory.known}
    head = json.dumps({**found, "cases": {}}, indent=1, allow_nan=False)
    rows = ",\n".join(
        f"  {json.dumps(key)}: {json.dumps(row, allow_nan=False)}"
        for key, row in laboratory.known.items()
    )
    given.out.write_text(head.removesuffix("{}\n}") + f"{{\n{rows}\n }}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
