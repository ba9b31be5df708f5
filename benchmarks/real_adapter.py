"""Rounds an adapter to bfloat16, so that it is small enough to ship, and leaves out the rest.

python benchmarks/real_adapter.py runs/real/align/checkpoint-86 benchmarks/real/aligned
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""What it belongs to; it was trained over that model's GGUF file in Q4_1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    weights = load_file(given.checkpoint / "adapter_model.safetensors")
    rounded = {name: one.to(torch.bfloat16).contiguous() for name, one in weights.items()}
    save_file(rounded, given.out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((given.checkpoint / "adapter_config.json").read_text(encoding="utf-8"))
    text = json.dumps(config | {"base_model_name_or_path": BASE}, indent=1, sort_keys=True)
    (given.out / "adapter_config.json").write_text(f"{text}\n", encoding="utf-8")
    size = (given.out / "adapter_model.safetensors").stat().st_size
    print(f"adapter  {given.out}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
