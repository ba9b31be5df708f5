"""A base and its adapter, merged and saved as a model folder of its own.

    from safebasin.checkpoint.merging import merge, merge_source

    print(merge(merge_source("models/base+models/adapter"), Path("models/merged")).fingerprint)

The folder loads like any model: nothing of PEFT is needed, and nothing of ours.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.checkpoint import vetting
from safebasin.checkpoint.chat_templates import stored_chat_template
from safebasin.checkpoint.checkpoint import Checkpoint
from safebasin.checkpoint.dtypes import DTYPES
from safebasin.checkpoint.merge_record import (
    other_base,
    other_tokenizer,
    own_base,
    parts_of,
    record_of,
)
from safebasin.checkpoint.new_folder import new_folder, put_in_place, require_free
from safebasin.checkpoint.sources import first_line
from safebasin.checkpoint.tokenizers import quiet
from safebasin.errors import CheckpointError, RunError, UsageError
from safebasin.run.provenance import redact_json
from safebasin.run.strictjson import dumps

MERGE = "merge.json"
"""The record of a merge, beside the weights."""

_SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
_TEMPLATES = "additional_chat_templates"


@dataclass(frozen=True)
class Merged:
    """A merged model on the disk.

    dtype        of its weights; the sum was made in float32 and cast once
    untied       whether tied tables were given values of their own
    fingerprint  SHA-256 (hex) as `Checkpoint.fingerprint` has it
    notes        what a reader has to know of base and adapter
    """

    folder: Path
    dtype: str
    untied: bool
    fingerprint: str
    notes: tuple[str, ...]
    record: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"folder": str(self.folder), **self.record}


def merge_source(text: str, *, trust_remote_code: bool = False) -> Checkpoint:
    """The base and the adapter that a text names.

    The folder of an adapter alone is enough where it records a base that is a folder on this
    machine or a packaged model: what an adapter names is never fetched. Raises UsageError or
    CheckpointError where there is no adapter, or no base for it.
    """
    folder = Path(text).expanduser()
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").exists():
        config = vetting.read_json(folder, "adapter_config.json") or {}
        base = config.get("base_model_name_or_path")
        if not isinstance(base, str) or not base:
            raise CheckpointError(f"'{text}' records no base.", f"Name it, as in BASE+{text}.")
        near = folder / base
        if not Path(base).expanduser().is_dir() and near.is_dir():
            base = str(near)
        if not base.startswith("testbed:") and not Path(base).expanduser().is_dir():
            raise CheckpointError(
                f"'{text}' was trained on '{base}', which is no folder on this machine.",
                f"Name the base, as in {base}+{text}.",
            )
        found = Checkpoint(base, text, trust_remote_code=trust_remote_code)
    else:
        found = Checkpoint.parse(text, trust_remote_code=trust_remote_code)
    parts_of(found)
    return found


def merge(
    source: Checkpoint,
    out: Path,
    dtype: str | None = None,
    *,
    command: Sequence[str] = (),
    loaded: Any = None,
) -> Merged:
    """Merge the adapter of `source` into its base and save the model in the folder `out`.

    The sum is made in float32 and cast once, to the base's own dtype unless `dtype` is given.
    Tokenizer, chat template and generation settings are the base's, byte for byte unless the
    loaded model has more end tokens; where the adapter adds tokens they are its own tokenizer's.
    `merge.json` says what was merged. Tied tables are untied where the adapter changes one of
    them. `config.json` is put in place last, so that what a killed merge leaves never loads.
    `loaded` is the model that `source.load(dtype, "cpu")` gave, where the caller has it.

    Raises UsageError or RunError where `out` is not a new or empty folder or cannot be written, and
    CheckpointError where the two cannot be merged; `out` is then as it was.
    """
    source.check()
    target = dtype or source.stored_dtype()
    if target not in DTYPES:
        raise UsageError(f"Unknown dtype '{target}'.", f"Give one of {', '.join(DTYPES)}.")
    require_free(out)
    base, adapter = parts_of(source)
    weights = vetting.vet_model(base, trust_remote_code=source.trust_remote_code)
    with new_folder(out, weights.elements * _SIZES[target]) as work:
        model = source.load(target, "cpu")[0] if loaded is None else loaded
        untied = _is_untied(source, model)
        notes = [*other_base(source, adapter), *save_model(source, model, work)]
        fingerprint = replace(own_base(source), base=str(work)).fingerprint()
        record = record_of(source, target, command) | {
            "untied": untied,
            "fingerprint": fingerprint,
            "notes": notes,
        }
        (work / MERGE).write_text(f"{dumps(redact_json(record), indent=1)}\n", encoding="utf-8")
        put_in_place(work, out)
    return Merged(out, target, untied, fingerprint, tuple(notes), record)


def save_model(source: Checkpoint, model: Any, work: Path) -> list[str]:
    """Write a model that was loaded from `source`, as safetensors, with what belongs to it.

    Tokenizer, chat template and generation settings are the base's, byte for byte unless the
    loaded model has more end tokens; where an adapter adds tokens they are its own tokenizer's.
    Returns what a reader has to know. Raises RunError or CheckpointError where it cannot be saved.
    """
    base, adapter = source.folders
    notes, texts = [], base
    if adapter is not None:
        if source.tokenizer_of(model) is source.adapter_tokenizer:
            notes.append("the adapter adds tokens, so that its own tokenizer comes along")
            texts = adapter
        else:
            notes += other_tokenizer(base, adapter)
    if _is_untied(source, model):
        notes.append("the adapter changes one of two tied tables, which are separate now")
    configured = _as_set(model.config.get_text_config().eos_token_id)
    ends = _as_set(model.generation_config.eos_token_id)
    _save(source, model, base, texts, work)
    if _keep_ends(work, ends, configured):
        notes.append("the adapter's own end tokens end an answer, too")
    return notes


def _is_untied(source: Checkpoint, model: Any) -> bool:
    tied = bool(source.config().get_text_config().tie_word_embeddings)
    return tied and not model.config.get_text_config().tie_word_embeddings


def _save(source: Checkpoint, model: Any, base: Path, texts: Path, work: Path) -> None:
    """Write the model, and the files that come along as they are.

    The tokenizer's and the chat template are those of the folder `texts`.
    """
    from safetensors import SafetensorError
    from transformers import GenerationConfig

    if (base / "generation_config.json").exists():
        # The base's own file comes along as it is; transformers refuses to write some of them.
        model.generation_config = GenerationConfig()
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save_pretrained(work)
    except SafetensorError as error:
        raise RunError(
            f"The merged model cannot be written: {first_line(error)}.",
            "Free space, or give a folder on another disk.",
        ) from error
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise CheckpointError(
            f"'{source.name}' cannot be saved: {first_line(error)}.", "Correct the base's config."
        ) from error
    names = [*vetting.TOKENIZER_FILES]
    names += [path.relative_to(texts).as_posix() for path in texts.glob(f"{_TEMPLATES}/*.jinja")]
    _copy(texts, names, work)
    if texts != base and stored_chat_template(texts) is None:
        _copy(base, ["chat_template.jinja", "chat_template.json"], work)
    code = [path.name for path in base.glob("*.py")] if source.trust_remote_code else []
    _copy(base, ["generation_config.json", *code], work)


def _copy(folder: Path, names: Sequence[str], work: Path) -> None:
    for name in names:
        if vetting.inside(folder, name).exists():
            (work / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, work / name)


def _keep_ends(work: Path, ends: set[int], configured: set[int]) -> bool:
    """Store end tokens that the loaded model has and its folder lacks; whether there are any.

    A model with an adapter also ends where the adapter's tokenizer does.
    """
    settings = vetting.read_json(work, "generation_config.json") or {}
    stored = _as_set(settings.get("eos_token_id"))
    if ends <= stored | configured:
        return False
    settings["eos_token_id"] = sorted(ends | stored | configured)
    text = f"{dumps(settings, indent=2)}\n"
    (work / "generation_config.json").write_text(text, encoding="utf-8")
    return True


def _as_set(tokens: Any) -> set[int]:
    return {tokens} if isinstance(tokens, int) else set(tokens or ())
