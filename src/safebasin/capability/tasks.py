"""The capabilities that `--capability` names, read and checked before any model is loaded."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path

from safebasin.capability.choices import Choices, has_choices
from safebasin.capability.exact import ExactTask
from safebasin.capability.likelihood import ChoiceTask, TextTask
from safebasin.capability.lm_eval import LM_EVAL, load_lm_eval
from safebasin.capability.probe import Task
from safebasin.config import ScanConfig
from safebasin.errors import PromptError, UsageError
from safebasin.prompts import CHOICE_SETS, PACKAGED, load
from safebasin.prompts.expected import require_expected
from safebasin.prompts.published import requested
from safebasin.terminal import shorten

PERPLEXITY = "perplexity:"
SETS = (*(name for name, (kind, _) in PACKAGED.items() if kind == "capability"), *CHOICE_SETS)
"""The packaged sets of questions."""


def load_tasks(config: ScanConfig) -> tuple[Task, ...]:
    """The capabilities that a configuration names, read and checked. No model is needed.

    Raises UsageError for one that is named twice or unknown, PromptError for a file that cannot be
    used, and a sentence where lm-eval, its task or the task's data are not there.
    """
    tasks = [load_task(spec, config) for spec in config.capability]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The capability '{name}' is named twice.", "Give each once.")
    return tuple(tasks)


def load_task(spec: str, config: ScanConfig) -> Task:
    """One capability by its specification."""
    limit, seed = config.capability_limit, config.sample_seed
    if spec.startswith(LM_EVAL):
        return load_lm_eval(spec, config.capability_tasks, limit)
    if spec.startswith(PERPLEXITY):
        return _text(Path(spec.removeprefix(PERPLEXITY)), limit, seed)
    if spec in CHOICE_SETS or has_choices(Path(spec)):
        choices = Choices.load(spec)
        return ChoiceTask(choices.name, choices.sample(limit, seed))
    if spec not in PACKAGED and requested(spec) is None and not _is_there(spec):
        raise PromptError(
            f"There is no capability and no file '{shorten(spec)}'.",
            f"{_meant(spec)}Give one of {', '.join(SETS)}, a file of questions, {PERPLEXITY}FILE "
            f"or {LM_EVAL}TASK.",
        )
    questions = require_expected(load(spec, kind="capability"))
    number = min(limit or len(questions), len(questions))
    return ExactTask(spec if spec.startswith("testbed:") else Path(spec).name,
                     questions.sample(number, seed))  # fmt: skip


def _is_there(spec: str) -> bool:
    try:
        return Path(spec).exists()
    except (OSError, ValueError):
        return False


def _meant(spec: str) -> str:
    """A question about the names that are near, or nothing."""
    head, colon, rest = spec.partition(":")
    near = difflib.get_close_matches(spec, SETS, n=2)
    if not near and colon:
        forms = difflib.get_close_matches(head + colon, [PERPLEXITY, LM_EVAL], n=1, cutoff=0.7)
        near = [form + shorten(rest) for form in forms]
    return f"Did you mean {' or '.join(near)}? " if near else ""


def _text(path: Path, limit: int, seed: int) -> TextTask:
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except IsADirectoryError:
        raise PromptError(f"'{path}' is a folder.", "Give perplexity:FILE with a text.") from None
    except UnicodeDecodeError as error:
        raise PromptError(
            f"The text '{path}' is not UTF-8: byte {error.start} cannot be read.", "Save it so."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PromptError(
            f"The text '{path}' cannot be read: {reason}.", "Give perplexity:FILE with a text."
        ) from None
    if not text.strip():
        raise PromptError(f"The text '{path}' is empty.", "Give a file with some sentences.")
    digest = hashlib.sha256(data).hexdigest()
    return TextTask(f"{PERPLEXITY}{path.name}", text, digest, limit, seed)
