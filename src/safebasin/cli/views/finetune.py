"""How `safebasin finetune` runs: progress, the checkpoints, and the comparison after it."""

from __future__ import annotations

import signal
from dataclasses import replace

from safebasin.cli.console import emit, say, tell
from safebasin.cli.interruptions import interrupted
from safebasin.cli.steps import Steps
from safebasin.config import ScanConfig
from safebasin.finetune.recipes import recipe_named
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import Tuned, finetune
from safebasin.prompts import load as load_prompts
from safebasin.terminal import shorten


def run_finetune(config: FinetuneConfig, compared: ScanConfig | None, *, as_json: bool) -> None:
    """Train and print; where a comparison follows, as `compared` says, it decides the exit code."""
    if compared is not None:
        # What is wrong with the prompts is said before the training, not after it.
        load_prompts(compared.prompts, compared.column, compared.prompts_kind)
    own = config.resolved()
    tell(f"recipe {own.recipe}: {recipe_named(own.recipe).about}")
    epochs = f"{own.epochs} epoch{'s' * (own.epochs != 1)}"
    tell(f"rate {own.rate:g}, batch {own.batch}, {epochs}, {_kind(own)}")
    # A scheduler's request to stop ends a training as cleanly as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tuned = finetune(config, Steps("step", "loss {:.4f}".format))
    except KeyboardInterrupt:
        raise interrupted("every finished epoch has its checkpoint") from None
    if compared is None:
        _print(tuned, own, as_json)
        return
    _tell(tuned)
    from safebasin.cli.views.compare import run_compare
    from safebasin.compare.settings import CompareConfig

    scan = replace(
        compared,
        model=tuned.base,
        system=tuned.system,
        template=own.template,
        device=own.device,
        trust_remote_code=own.trust_remote_code,
        out=str(tuned.folder / "comparison"),
    )
    run_compare(CompareConfig(str(tuned.final), scan), as_json=as_json)


def _kind(own: FinetuneConfig) -> str:
    return f"LoRA of rank {own.rank}" if own.lora else "all weights"


def _frozen(own: FinetuneConfig) -> str:
    blocks = own.freeze_blocks and f"attention and MLP of the blocks {own.freeze_blocks}"
    mask = own.freeze_mask and f"the weights of {shorten(own.freeze_mask)}"
    return ", ".join(one for one in (blocks, mask) if one)


def _print(tuned: Tuned, own: FinetuneConfig, as_json: bool) -> None:
    if as_json:
        emit(tuned.to_json())
        return
    say(f"base        {own.base}")
    cut = f", {tuned.cut} cut to {own.max_length} tokens" if tuned.cut else ""
    say(f"rows        {tuned.rows}{cut}")
    if frozen := _frozen(own):
        say(f"frozen      {frozen}")
    say(f"steps       {tuned.steps}")
    if tuned.losses:
        say(f"loss        {tuned.losses[0]:.4f} -> {tuned.losses[-1]:.4f} nats an answer token")
    if tuned.loss is not None and own.until_loss is not None:
        reached = "" if tuned.loss <= own.until_loss else f", and not {own.until_loss:g}"
        say(f"all rows    {tuned.loss:.4f} nats an answer token at the end{reached}")
    for checkpoint in tuned.checkpoints:
        say(f"checkpoint  {checkpoint}")
    if tuned.base != own.base:
        say(f"merged      {tuned.base}, the base of these adapters")
    say(f"compare     safebasin compare {tuned.base} {tuned.final}")


def _tell(tuned: Tuned) -> None:
    tell(f"{tuned.steps} steps on {tuned.rows} rows; comparing {tuned.final} with its base")
