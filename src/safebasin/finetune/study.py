"""The training itself, from the checks to the last checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.checkpoint import Checkpoint
from safebasin.defences.base import TrainingDefence
from safebasin.engines.memory import is_out_of_memory
from safebasin.engines.plain import end_tokens_of
from safebasin.engines.template import Template
from safebasin.engines.token_table import pad_token_of
from safebasin.errors import SafebasinError, TrainingError, UsageError
from safebasin.finetune.defending import defences_of, require_own_masks
from safebasin.finetune.folder import TrainingFolder
from safebasin.finetune.freezing import Freezing
from safebasin.finetune.merged_base import merged_base
from safebasin.finetune.settings import FinetuneConfig
from safebasin.run.names import canonical, digest, slug
from safebasin.run.provenance import redact_json
from safebasin.setting import parse_day
from safebasin.subject.encoding import Encoded, encode
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[int, int, float | None], None]
_PACKAGES = ("trl", "datasets")


@dataclass(frozen=True)
class Tuned:
    """A finished fine-tuning.

    base         the model that it began with, to compare with: as it was named, or the folder
                 into which base and adapter were merged, to which a new adapter belongs
    checkpoints  one an epoch, the last one is `final`
    losses       of the steps of this sitting, nats per answer token
    loss         of all rows at the end, nats per answer token; None where it was not measured,
                 which --until-loss does
    system       the system message that it was trained with, for the test after it
    cut          rows that were longer than the limit
    """

    folder: Path
    base: str
    checkpoints: tuple[Path, ...]
    losses: tuple[float, ...]
    system: str | None
    rows: int
    steps: int
    cut: int
    loss: float | None = None

    @property
    def final(self) -> Path:
        return self.checkpoints[-1]

    def to_json(self) -> dict[str, Any]:
        return {
            "run": str(self.folder),
            "base": self.base,
            "checkpoints": [str(path) for path in self.checkpoints],
            "final": str(self.final),
            "rows": self.rows,
            "steps": self.steps,
            "cut": self.cut,
            "system": self.system,
            "losses": list(self.losses),
            "loss": self.loss,
        }


def finetune(config: FinetuneConfig, progress: Progress | None = None) -> Tuned:
    """Train by a recipe, or go on with a training that was interrupted.

    Raises a SafebasinError: where the data or the settings are wrong, before anything is written;
    where the folder holds another training; and TrainingError where the loss is not finite or the
    training fails, with every checkpoint written before intact.
    """
    require_packages()
    own = config.resolved()
    defences = defences_of(own)
    rows = own.load()
    for defence in defences:
        rows = defence.rows(rows)
    system = _common_system(rows) if own.system is None else own.system
    base = Checkpoint.parse(own.base, trust_remote_code=own.trust_remote_code)
    base.check()
    require_own_masks(defences, base)
    base.require_blocks((own.freeze_blocks or "").strip() or None)
    # Another adapter belongs to merged weights, which have to be somewhere: beside it.
    over_merged = own.lora and base.folders[1] is not None
    if over_merged:
        model, tokenizer = base.load(base.stored_dtype(), "cpu")
    else:
        model, tokenizer = base.load(own.dtype or "float32", own.device)
    template = Template.of(tokenizer, own.template, own.system)
    template.clock.told = False  # the day is no part of what identifies a training
    ends = end_tokens_of(model, tokenizer)
    encoded = [encode(row, template, own.max_length, ends) for row in rows.rows]
    freezing = None
    if defences:
        subject = Subject(base, model, tokenizer, Weights(model), template)
        freezing = Freezing.of(defences, subject)
        freezing.check(lora=own.lora)
    identity: dict[str, Any] = {
        "base": {"name": base.name, **base.spec()},
        "data": {"name": rows.name, "rows": len(rows), "sha256": rows.sha256},
        "recipe": own.identity(),
        "template": template.spec(),
    }
    if defences:
        identity["defences"] = [defence.spec() for defence in defences]
    path = Path(own.out) if own.out else _default_folder(base.name, own, identity)
    with TrainingFolder.open(path, identity) as folder:
        losses: list[float] = []
        if template.day is not None:
            folder.write(day=folder.record.get("day", template.day))
            template.clock.day = parse_day(folder.record["day"])
            encoded = [encode(row, template, own.max_length, ends) for row in rows.rows]
        if over_merged:
            own_base = merged_base(base, model, folder)
            if folder.record["finished"] is None:
                start = Checkpoint(own_base, trust_remote_code=own.trust_remote_code)
                model, _ = start.load(own.dtype or "float32", own.device)
        else:
            own_base = own.base
            if base.folders[1] is not None:
                folder.write(merged={"folder": None, "arithmetic": "float32"})
        if folder.record["finished"] is None:
            training = _Training(own, own_base, model, tokenizer, encoded, defences, freezing)
            losses = training.run(folder, progress)
        finished = folder.record["finished"]
        return Tuned(
            folder=path,
            base=own_base,
            checkpoints=folder.checkpoints,
            losses=tuple(losses),
            system=system,
            rows=len(rows),
            steps=int(finished["steps"]),
            cut=sum(one.cut for one in encoded),
            loss=folder.record.get("loss_after_step", {}).get(str(finished["steps"])),
        )


@dataclass(frozen=True)
class _Training:
    """All that a training is made of, once it is loaded and checked."""

    own: FinetuneConfig
    base: str
    model: Any
    tokenizer: Any
    encoded: list[Encoded]
    defences: tuple[TrainingDefence, ...]
    freezing: Freezing | None

    def run(self, folder: TrainingFolder, progress: Progress | None) -> list[float]:
        """Train to the end; the losses of the steps of this sitting."""
        with _quiet():
            return self._run(folder, progress)

    def _run(self, folder: TrainingFolder, progress: Progress | None) -> list[float]:
        from safetensors import SafetensorError

        from safebasin.finetune import trainer as trl

        own, model = self.own, self.model
        batch = own.batch or 1
        device_batch = _divisor(batch, own.device_batch or batch)
        model.requires_grad_(True)
        kept, excluded = None, []
        if self.freezing is not None and own.lora:
            excluded = self.freezing.excluded_modules()
        elif self.freezing is not None:
            kept = self.freezing.apply(model)
        until = None
        if own.until_loss is not None:
            pad = pad_token_of(model, self.tokenizer, end_tokens_of(model, self.tokenizer))
            until = trl.Until(own.until_loss, self.encoded, device_batch, pad)
        watch = trl.Watch(folder, progress, kept, until)
        made = trl.build(
            model,
            self.tokenizer,
            self.encoded,
            folder,
            rate=own.rate or 0.0,
            batch=batch,
            device_batch=device_batch,
            epochs=own.epochs or 1,
            decay=own.decay,
            weight_decay=own.weight_decay or 0.0,
            seed=own.seed,
            peft_config=trl.lora_config(self.base, own.rank, excluded) if own.lora else None,
            mixed_precision=model.device.type == "cuda" and own.dtype is None,
            watch=watch,
            defences=self.defences,
        )
        folder.write(config=own.to_json(), arguments=_plain(made.args.to_dict()))
        folder.remove_cut_off()
        resume = folder.resumable
        try:
            made.train(resume_from_checkpoint=None if resume is None else str(resume))
        except SafebasinError:
            raise
        except (RuntimeError, ValueError, OSError, MemoryError, SafetensorError) as error:
            raise _failed(error, folder) from error
        for checkpoint in folder.checkpoints:
            trl.tidy(checkpoint, self.base)
        folder.forget_states(keep=None)
        folder.write(finished={"steps": made.state.global_step, "losses": watch.losses})
        return watch.losses


def _failed(error: Exception, folder: TrainingFolder) -> TrainingError:
    safe = f"{len(folder.checkpoints)} checkpoints are intact in {folder.path}."
    if is_out_of_memory(error):
        return TrainingError(
            "Memory ran out in training.", f"Give a smaller --device-batch, or --lora. {safe}"
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return TrainingError(f"The training failed: {reason}.", f"Run it again to go on. {safe}")


def _default_folder(base: str, own: FinetuneConfig, identity: dict[str, Any]) -> Path:
    """One under runs/ that the same settings always find again."""
    kind = "lora" if own.lora else "full"
    label = slug(f"{base}-{own.recipe}-{kind}").rsplit("-", 1)[0]
    return Path("runs", f"finetune-{label}-{digest(canonical(redact_json(identity)).encode(), 8)}")


def _divisor(batch: int, wanted: int) -> int:
    """The largest number of rows up to `wanted` of which a batch is a multiple."""
    return next(n for n in range(min(wanted, batch), 0, -1) if batch % n == 0)


def _common_system(rows: Rows) -> str | None:
    """The system message that all rows have, if they have the same."""
    found = {row.system for row in rows.rows}
    return found.pop() if len(found) == 1 else None


def _plain(value: Any) -> Any:
    """JSON values of settings that may hold other objects; infinite numbers as text."""
    match value:
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def require_packages() -> None:
    """Raise UsageError where what a training needs is not installed."""
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Fine-tuning needs {' and '.join(missing)}.", "Run `pip install 'safebasin[train]'`."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' notes off the terminal; what matters of them is an error anyway."""
    import logging

    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    level = transformers_logging.get_verbosity()
    root = logging.getLogger().level
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().setLevel(root)
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
