"""The wiring to TRL's supervised fine-tuning: what we decide is decided here, nothing by default.

Imported only when a training starts; TRL is the extra `train`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from safebasin.defences.base import TrainingDefence
from safebasin.engines.padding import padded
from safebasin.errors import TrainingError
from safebasin.finetune.folder import TrainingFolder
from safebasin.finetune.freezing import Kept
from safebasin.run.atomic import write_atomic
from safebasin.subject.encoding import IGNORED, Encoded

Progress = Callable[[int, int, float | None], None]
"""Called with (steps done, steps in all, loss of the last step)."""


class Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with the published schedule, and without telemetry."""

    decay = 1.0
    steps_per_epoch = 1
    losses: Sequence[TrainingDefence] = ()

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """The learning rate is multiplied by `decay` after each epoch (StepLR)."""
        found: Any = getattr(self, "lr_scheduler", None)
        if found is None:
            found = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer,
                lambda step: self.decay ** (step // self.steps_per_epoch),
            )
            self.lr_scheduler = found
        return found

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """That of a defence which has one, else TRL's."""
        labels = inputs["labels"]
        given = {name: value for name, value in inputs.items() if name != "labels"}
        for defence in self.losses:
            outputs = model(**given, use_cache=False)
            loss = defence.loss(outputs.logits, inputs)
            if loss is None:
                continue
            if num_items_in_batch is not None:
                # A step may be made of several batches, each by its share of the answer tokens.
                loss = loss * ((labels[:, 1:] != IGNORED).sum() / num_items_in_batch)
            return (loss, outputs) if return_outputs else loss
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _send_telemetry(self) -> None:
        """What is trained here is nobody else's business."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The recipe beside the checkpoints says more, and names no folder of this machine."""


@dataclass(frozen=True)
class Until:
    """The loss to stop at, and how that of a model is measured, in batches of `rows`."""

    loss: float
    encoded: Sequence[Encoded]
    rows: int
    pad_token: int

    def measure(self, model: Any) -> float:
        """Nats an answer token over all rows, of the weights as they are; in eval mode."""
        training, total, count = model.training, 0.0, 0
        model.eval()
        for start in range(0, len(self.encoded), self.rows):
            part = self.encoded[start : start + self.rows]
            ids, mask = padded([one.ids for one in part], self.pad_token, "right")
            width = ids.shape[1]
            labels = torch.tensor(
                [[*one.labels, *[IGNORED] * (width - len(one.labels))] for one in part]
            )[:, 1:].to(model.device)
            with torch.no_grad():
                logits = model(
                    input_ids=ids.to(model.device),
                    attention_mask=mask.to(model.device),
                    use_cache=False,
                ).logits[:, :-1]
            total += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(),
                labels.flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            ).item()
            count += int((labels != IGNORED).sum())
        model.train(training)
        return total / count


class Watch(TrainerCallback):  # type: ignore[misc]
    """Reports progress, stops at a loss that is not finite, and drops outdated optimiser states.

    kept   the values of frozen weights, which are put back after each step
    until  measures the loss of all rows after each epoch, and whether it is low enough; or None
    """

    def __init__(
        self,
        folder: TrainingFolder,
        progress: Progress | None,
        kept: Kept | None = None,
        until: Until | None = None,
    ) -> None:
        self.folder = folder
        self.progress = progress
        self.kept = kept
        self.until = until
        self.losses: list[float] = []

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self.kept is not None:
            self.kept.restore()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self.until is None:
            return
        loss = self.until.measure(rest["model"])
        known = self.folder.record.get("loss_after_step", {})
        self.folder.write(loss_after_step={**known, str(state.global_step): loss})
        if loss <= self.until.loss:
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                what = "loss" if name == "loss" else "norm of the gradient"
                done = len(self.folder.checkpoints)
                raise TrainingError(
                    f"The {what} is {float(value)} at step {state.global_step} of "
                    f"{state.max_steps}.",
                    f"Give a smaller --rate, or --dtype float32. {done} checkpoints written before "
                    f"are intact in {self.folder.path}.",
                )
        loss = (logs or {}).get("loss")
        if loss is not None:
            self.losses.append(float(loss))
            if self.progress is not None:
                self.progress(state.global_step, state.max_steps, float(loss))

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        whole = self.folder.checkpoints
        if whole:
            self.folder.forget_states(keep=whole[-1])


def build(
    model: Any,
    tokenizer: Any,
    encoded: Sequence[Encoded],
    folder: TrainingFolder,
    *,
    rate: float,
    batch: int,
    device_batch: int,
    epochs: int,
    decay: float,
    weight_decay: float,
    seed: int,
    peft_config: Any,
    mixed_precision: bool,
    watch: Watch,
    defences: Sequence[TrainingDefence],
) -> Trainer:
    """A trainer whose every setting that matters is given here."""
    settings = SFTConfig(
        output_dir=str(folder.path),
        learning_rate=rate,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=batch // device_batch,
        num_train_epochs=epochs,
        lr_scheduler_type="constant",  # replaced by the trainer's own
        warmup_steps=0,
        weight_decay=weight_decay,
        optim="adamw_torch",
        max_grad_norm=1.0,
        seed=seed,
        data_seed=seed,
        bf16=mixed_precision,
        fp16=False,
        gradient_checkpointing=False,
        use_cpu=model.device.type == "cpu",
        save_strategy="epoch",
        save_total_limit=None,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_drop_last=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=model.device.type != "cpu",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        average_tokens_across_devices=False,
    )
    rows = [{"input_ids": list(one.ids), "labels": list(one.labels)} for one in encoded]
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=peft_config,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.decay = decay
    trainer.losses = [one for one in defences if type(one).loss is not TrainingDefence.loss]
    trainer.steps_per_epoch = max(1, -(-len(encoded) // batch))
    return trainer


def lora_config(base: str, rank: int, excluded: Sequence[str]) -> Any:
    """LoRA on every linear layer of the blocks but the excluded modules, scaled by 2."""
    from peft import LoraConfig

    return LoraConfig(
        base_model_name_or_path=base,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=list(excluded) or None,
        bias="none",
        task_type="CAUSAL_LM",
    )


def tidy(checkpoint: Path, base: str) -> None:
    """Write into an adapter's config which base it belongs to, as the user named it.

    PEFT notes the folder of this machine, and adds an empty model card.
    """
    (checkpoint / "README.md").unlink(missing_ok=True)
    file = checkpoint / "adapter_config.json"
    if file.exists():
        config = json.loads(file.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base
        write_atomic(file, f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode())
