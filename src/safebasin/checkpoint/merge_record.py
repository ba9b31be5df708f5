"""What is recorded of a merge, and what a reader has to know of its two sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safebasin.checkpoint import vetting
from safebasin.checkpoint.adapters import adapter_digest
from safebasin.checkpoint.chat_templates import stored_chat_template
from safebasin.checkpoint.checkpoint import Checkpoint
from safebasin.checkpoint.sources import commit, display
from safebasin.errors import UsageError
from safebasin.run.provenance import session

_SETTINGS = ("r", "lora_alpha", "use_rslora", "use_dora")


def parts_of(source: Checkpoint) -> tuple[Path, Path]:
    """The folders of base and adapter; UsageError where there is no adapter."""
    base, adapter = source.folders
    if adapter is None:
        raise UsageError(f"'{source.name}' has no adapter to merge.", "Give BASE+ADAPTER.")
    return base, adapter


def own_base(source: Checkpoint) -> Checkpoint:
    """The base of a source by itself."""
    base, _ = source.folders
    packaged = source.adapter is None
    name = f"testbed:{base.name}" if packaged else source.base
    return replace(source, base=name, adapter=None, adapter_revision=None)


def record_of(source: Checkpoint, dtype: str, command: Sequence[str]) -> dict[str, Any]:
    """Base and adapter by their digests, how they are summed, and with what."""
    _, folder = parts_of(source)
    base = own_base(source)
    config = vetting.read_json(folder, "adapter_config.json") or {}
    spec = base.spec()
    kept = ["revision", "commit", "architecture", "parameters", "fingerprint", "tokenizer"]
    kept += ["quantisation"] if "quantisation" in spec else []
    return {
        "base": {"name": base.name, **{name: spec[name] for name in kept}},
        "adapter": {
            "name": display(source.adapter or source.base),
            "revision": source.adapter_revision,
            "commit": commit(folder),
            "sha256": adapter_digest(folder),
            "kind": config.get("peft_type"),
            "base": config.get("base_model_name_or_path"),
            **{name: config[name] for name in _SETTINGS if name in config},
        },
        "arithmetic": "float32",
        "dtype": dtype,
        **session(command),
    }


def other_base(source: Checkpoint, adapter: Path) -> Iterator[str]:
    """A note where the adapter records a base of another name."""
    config = vetting.read_json(adapter, "adapter_config.json") or {}
    recorded, name = config.get("base_model_name_or_path"), own_base(source).name
    # The packaged adapters name their base by its place beside them.
    if source.adapter is not None and isinstance(recorded, str) and recorded:
        last = recorded.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]
        if last != name.rsplit("/", 1)[-1]:
            yield f"the adapter records '{recorded}' as its base, and is merged into '{name}'"


def other_tokenizer(base: Path, adapter: Path) -> Iterator[str]:
    """A note for each thing of the tokenizer that the adapter's folder has differently."""
    for what, read in (("another chat template", _template), ("other tokens", _tokens)):
        theirs = read(adapter)
        if theirs is not None and theirs != read(base):
            yield f"the adapter's folder brings {what} than the base, whose own are kept"


def _template(folder: Path) -> str | None:
    found = stored_chat_template(folder)
    return None if found is None else found.strip()


def _tokens(folder: Path) -> dict[str, Any] | None:
    """The tokens of a tokenizer.json by their text, or None."""
    content = vetting.read_json(folder, "tokenizer.json")
    if content is None:
        return None
    model, added = content.get("model"), content.get("added_tokens")
    words = model.get("vocab") if isinstance(model, dict) else None
    found = {"vocab": words} if not isinstance(words, dict) else dict(words)
    for token in added if isinstance(added, list) else []:
        if isinstance(token, dict):
            found[str(token.get("content"))] = token.get("id")
    return found
