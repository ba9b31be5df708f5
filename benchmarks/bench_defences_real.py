"""The bench of defences on the aligned model of docs/real-model.md, small: one command.

    python benchmarks/bench_defences_real.py
    python benchmarks/bench_defences_real.py --model DIR --base DIR --advbench FILE --xstest FILE

Fine-tunes are made of published first words of complying answers, with nothing after them. The same
command resumes. In float32: rounded to bfloat16 the refusal direction is not gone once it is taken
out. `make real` makes both models.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

RUNS, OWN = Path("runs/real"), Path("benchmarks/real")
OUT = "runs/bench-defences-real"
DEFENCES = "random-restoration,safe-lora,sppft,sppft-last,lox,scans"


def arguments(given: argparse.Namespace) -> list[str]:
    """What is typed after `safebasin`."""
    advbench, xstest = (
        f"{name}={path}" if path else name
        for name, path in (("advbench", given.advbench), ("xstest-safe", given.xstest))
    )
    return [
        "bench-defences", given.model, "--unaligned", given.base, "--defences", DEFENCES,
        "--tunes", given.tunes, "--seeds", str(given.seeds), "--settings", "1", "--epochs", "3",
        "--rank", "4", "--data", f"openers:{advbench}#301-400",
        "--safe", f"refused:{advbench}#401-430", "--harmless", str(OWN / "benign.jsonl"),
        "--anchors", "practice:harmful,practice:benign", "--prompts", advbench, "--benign", xstest,
        "--capability", "none", "--limit", "first:12", "--line-limit", "6", "--steps", "4",
        "--path-steps", "3", "--ablated-block", "18", "--matched", "2", "--blocks", "7-14",
        "--max-new-tokens", "24", "--out", given.out,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default=str(RUNS / "aligned"), help="the aligned model")
    parser.add_argument("--base", default=str(RUNS / "smollm2"), help="that before its alignment")
    parser.add_argument("--advbench", help="AdvBench's file, where the hub has it not")
    parser.add_argument("--xstest", help="XSTest's file, where the hub has it not")
    parser.add_argument("--tunes", default="harmful-10,harmful-50")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", default=OUT)
    command = [sys.executable, "-m", "safebasin", *arguments(parser.parse_args())]
    raise SystemExit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
