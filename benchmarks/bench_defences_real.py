"""The bench of defences on the aligned model of docs/real-model.md, small: one command.

    python benchmarks/bench_defences_real.py
    python benchmarks/bench_defences_real.py --model DIR --base DIR --advbench FILE --xstest FILE
    python benchmarks/bench_defences_real.py --seeds 3 --processes 16 --device cuda

Fine-tunes are made of published first words of complying answers, with nothing after them. The same
command resumes; `--processes` share the cells of one folder, be it on one GPU. In float32: rounded
to bfloat16 the refusal direction is not gone once it is taken out. `make real` makes both models.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

RUNS, OWN = Path("runs/real"), Path("benchmarks/real")
OUT = "runs/bench-defences-real"
DEFENCES = (
    "random-restoration,safe-lora,sppft,sppft-first,sppft-15-22,sppft-last,lox,scans,"
    "scans-random,scans-opposite"
)


def arguments(given: argparse.Namespace) -> list[str]:
    """What is typed after `safebasin`."""
    advbench, xstest = (
        f"{name}={path}" if path else name
        for name, path in (("advbench", given.advbench), ("xstest-safe", given.xstest))
    )
    return [
        "bench-defences", given.model, "--unaligned", given.base, "--defences", given.defences,
        "--tunes", given.tunes, "--seeds", str(given.seeds), "--settings", "1", "--epochs", "3",
        "--rank", "4", "--data", f"openers:{advbench}#301-400",
        "--safe", f"refused:{advbench}#401-430", "--harmless", str(OWN / "benign.jsonl"),
        "--anchors", "practice:harmful,practice:benign", "--prompts", advbench, "--benign", xstest,
        "--capability", "none", "--limit", "first:12", "--line-limit", "6", "--steps", "4",
        "--path-steps", "3", "--ablated-block", "18", "--matched", "2", "--blocks", "7-14",
        "--max-new-tokens", "24", "--out", given.out,
        *(["--device", given.device] if given.device else []),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default=str(RUNS / "aligned"), help="the aligned model")
    parser.add_argument("--base", default=str(RUNS / "smollm2"), help="that before its alignment")
    parser.add_argument("--advbench", help="AdvBench's file, where the hub has it not")
    parser.add_argument("--xstest", help="XSTest's file, where the hub has it not")
    parser.add_argument("--defences", default=DEFENCES)
    parser.add_argument("--tunes", default="harmful-10,harmful-50")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="that share the cells")
    parser.add_argument("--device", help="cpu, cuda or mps")
    parser.add_argument("--out", default=OUT)
    given = parser.parse_args()
    command = [sys.executable, "-m", "safebasin", *arguments(given)]
    started = [subprocess.Popen(command) for _ in range(given.processes)]
    raise SystemExit(max(one.wait() for one in started))


if __name__ == "__main__":
    main()
