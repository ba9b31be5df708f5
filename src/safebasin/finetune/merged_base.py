"""The base of an adapter that is trained over another adapter: both merged, beside it."""

from __future__ import annotations

from typing import Any

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.merging import merge
from safebasin.errors import RunError
from safebasin.finetune.folder import TrainingFolder

BASE = "base"
"""The folder of the merged base, among the checkpoints."""


def merged_base(source: Checkpoint, model: Any, folder: TrainingFolder) -> str:
    """The folder of `source`, merged and in its own dtype; it is written where it is missing.

    The training starts from what is stored, rounded as it is, so that a new adapter fits it to
    the bit. `model` is `source` as it is stored. Raises RunError where the folder holds other
    weights than those that the training began with.
    """
    path = folder.path / BASE
    if not (path / "config.json").exists():
        merged = merge(source, path, loaded=model)
        folder.write(
            merged={
                "folder": BASE,
                "arithmetic": "float32",
                "dtype": merged.dtype,
                "untied": merged.untied,
                "fingerprint": merged.fingerprint,
            }
        )
        return str(path)
    stored = Checkpoint(str(path), trust_remote_code=source.trust_remote_code)
    fingerprint = stored.fingerprint()
    known = folder.record.get("merged")
    if known is None:
        # The merge was finished, and the training stopped before it said so.
        folder.write(merged={"folder": BASE, "arithmetic": "float32", "fingerprint": fingerprint})
    elif known["fingerprint"] != fingerprint:
        raise RunError(
            f"'{path}' is not the merged base that this training began with.",
            "Remove that folder to merge it again, or give another --out.",
        )
    return str(path)
