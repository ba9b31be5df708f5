"""What a method is in the bench: by what it changes before, in, or after a fine-tune."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safebasin.defence_bench.settings import BenchConfig
from safebasin.defences.base import Steering
from safebasin.finetune.settings import FinetuneConfig
from safebasin.subject.subject import Subject
from safebasin.weights import Direction


@dataclass(frozen=True)
class Setting:
    """Where a method is used: the settings of the bench, and a folder that it may write to.

    loss    of all rows at the end of the plain fine-tune, nats an answer token
    epochs  that it took
    """

    config: BenchConfig
    folder: Path
    loss: float | None = None
    epochs: int = 1


class Method:
    """A row of the table. What one does not say, it leaves as it is.

    name       in the table and on the command line
    reference  the paper that defines it, or what it is the control of
    needs      settings of the bench that it cannot do without
    own        whether it has a fine-tune of its own, since it changes the model before it or takes
               part in it; otherwise it is given the plain fine-tune
    system     the system message of every request, in place of the fine-tune's
    """

    name: str
    reference: str
    needs: tuple[str, ...] = ()
    own: bool = False
    system: str | None = None

    def base(self, given: Setting) -> str:
        """The model that is tuned; one process at a time makes it."""
        return given.config.scan.model

    def training(self, plain: FinetuneConfig, given: Setting) -> FinetuneConfig:
        """The fine-tune that it takes part in; called by one process at a time."""
        return plain

    def direction(self, subject: Subject, given: Setting) -> Direction | None:
        """From the fine-tune to the defended model; None where its weights stay."""
        return None

    def steering(self, subject: Subject, given: Setting) -> Steering | None:
        """What the defended model answers under; None for nothing."""
        return None
