"""The errors a user can meet: one sentence that names the thing, and one that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class SafebasinError(Exception):
    """A user's mistake or a fault outside the program.

    `message` names the thing and the place; `hint` says what to do about it. The command line
    prints both without a traceback and exits with `exit_code`; `kind` is what programs know the
    error by.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(SafebasinError):
    """An argument that cannot be meant as it stands."""

    kind = "usage"
    exit_code = 2


class CheckpointError(SafebasinError):
    """A model or adapter that is missing, damaged, or not safe to open."""

    kind = "model"


class TemplateError(SafebasinError):
    """A prompt that cannot be put into the model's chat template."""

    kind = "template"


class PromptError(SafebasinError):
    """A prompt set that is missing, empty, or has no column we can read."""

    kind = "prompts"


class GatedError(SafebasinError):
    """A data set or model whose publisher asks everybody to accept terms first."""

    kind = "gated"


class DataError(SafebasinError):
    """Training data that is missing, empty, or has a row that cannot be learnt from."""

    kind = "data"


class TrainingError(SafebasinError):
    """A training that failed; the checkpoints written before are intact."""

    kind = "training"


class DirectionError(SafebasinError):
    """A direction that cannot be built for these weights."""

    kind = "direction"


class JudgeError(SafebasinError):
    """A judge that cannot be built or that lacks what it needs."""

    kind = "judge"


class EngineError(SafebasinError):
    """Answers that could not be generated (memory, device, unsupported model)."""

    kind = "engine"


class RunError(SafebasinError):
    """A run folder that cannot be read or written."""

    kind = "run"


class RunBusy(RunError):
    """A run folder that another process is writing to."""

    kind = "run-busy"


class RunMismatch(RunError):
    """A run folder that holds the measurements of another configuration."""

    kind = "run-mismatch"

    def __init__(self, message: str, hint: str, keys: Sequence[str]) -> None:
        super().__init__(message, hint)
        self.keys = tuple(keys)


class Interrupted(SafebasinError):
    """Ctrl-C or a scheduler's request to stop; `hint` is the command that goes on."""

    kind = "interrupted"
    exit_code = 130
