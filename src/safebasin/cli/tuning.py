"""How `safebasin finetune` runs: progress, the checkpoints, and the comparison after it."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from safebasin.cli.console import duration, emit, say, tell
from safebasin.cli.interruptions import interrupted
from safebasin.config import ScanConfig
from safebasin.finetune.recipes import recipe_named
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import Tuned, finetune
from safebasin.prompts import load as load_prompts

LINE_EVERY = 15.0
"""Seconds between two lines of progress."""


class Steps:
    """Tells how far the training is, with the loss and the time that is left."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, loss: float | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1
        if now - self._last < LINE_EVERY and done < total:
            return
        self._last = now
        left = (now - self._began) / max(1, done - self._first) * (total - done)
        shown = "" if loss is None else f" · loss {loss:.4f}"
        tell(f"step {done} of {total}{shown} · {duration(left)} left")


def run_finetune(config: FinetuneConfig, compared: ScanConfig | None, *, as_json: bool) -> None:
    """Train and print; where a comparison follows, as `compared` says, it decides the exit code."""
    if compared is not None:
        # What is wrong with the prompts is said before the training, not after it.
        load_prompts(compared.prompts, compared.column, compared.prompts_kind)
    own = config.resolved()
    tell(f"recipe {own.recipe}: {recipe_named(own.recipe).about}")
    tell(f"rate {own.rate:g}, batch {own.batch}, {own.epochs} epochs, {_kind(own)}")
    # A scheduler's request to stop ends a training as cleanly as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tuned = finetune(config, Steps())
    except KeyboardInterrupt:
        raise interrupted("every finished epoch has its checkpoint") from None
    if compared is None:
        _print(tuned, own, as_json)
        return
    _tell(tuned)
    from safebasin.cli.comparing import run_compare
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


def _print(tuned: Tuned, own: FinetuneConfig, as_json: bool) -> None:
    if as_json:
        emit(tuned.to_json())
        return
    say(f"base        {own.base}")
    cut = f", {tuned.cut} cut to {own.max_length} tokens" if tuned.cut else ""
    say(f"rows        {tuned.rows}{cut}")
    say(f"steps       {tuned.steps}")
    if tuned.losses:
        say(f"loss        {tuned.losses[0]:.4f} -> {tuned.losses[-1]:.4f} nats an answer token")
    for checkpoint in tuned.checkpoints:
        say(f"checkpoint  {checkpoint}")
    if tuned.base != own.base:
        say(f"merged      {tuned.base}, the base of these adapters")
    say(f"compare     safebasin compare {tuned.base} {tuned.final}")


def _tell(tuned: Tuned) -> None:
    tell(f"{tuned.steps} steps on {tuned.rows} rows; comparing {tuned.final} with its base")
