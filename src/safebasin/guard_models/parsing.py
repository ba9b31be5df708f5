"""Guard models by their descriptions: `guard:NAME@MODEL?option=value`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

from safebasin.checkpoint import Checkpoint
from safebasin.config import DTYPES
from safebasin.errors import JudgeError, UsageError
from safebasin.guard_models.guard_judge import GuardJudge
from safebasin.judges.guards import GUARDS
from safebasin.terminal import shorten


def parse(text: str) -> GuardJudge:
    """The judge that `NAME[@MODEL][?option=value&...]` describes; its model is not loaded yet.

    MODEL is a folder or a hub id in place of the guard's own, with `+adapter` and `@revision`.
    Options: dtype, device, batch, template (a file). Raises UsageError for what cannot be meant,
    CheckpointError where the model is not there or gated, JudgeError for a template that cannot be
    read or a model that is not of the guard's kind.
    """
    head, _, query = text.partition("?")
    name, _, model = head.partition("@")
    if name not in GUARDS:
        raise UsageError(f"There is no guard '{name[:40]}'.", f"There are {', '.join(GUARDS)}.")
    guard = GUARDS[name]
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - {"dtype", "device", "batch", "template"})
    if unknown:
        raise UsageError(
            f"A guard has no option '{unknown[0][:40]}'.",
            "There are dtype, device, batch and template; a model of your own follows an @, as in "
            f"guard:{name}@FOLDER.",
        )
    if options.get("dtype") not in (None, *DTYPES):
        raise UsageError(
            f"Unknown dtype '{options['dtype'][:40]}'.", f"Give one of {', '.join(DTYPES)}."
        )
    batch = options.get("batch", "8")
    if not batch.isdigit() or int(batch) < 1:
        raise UsageError(f"'batch={batch[:40]}' cannot be meant.", "Give a whole number from 1.")
    template = _template(options.get("template"))
    checkpoint = Checkpoint.parse(model or guard.model)
    checkpoint.check()
    judge = GuardJudge(
        guard, checkpoint, template, options.get("dtype"), options.get("device"), int(batch)
    )
    judge.check()
    return judge


def _template(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise JudgeError(
            f"The template '{shorten(path)}' is not UTF-8: byte {error.start} cannot be read.",
            "Save it as UTF-8.",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise JudgeError(
            f"The template '{shorten(path)}' cannot be read: {reason}.",
            "Give template=FILE with the path of a text file that holds {prompt} and {response}.",
        ) from None
    if "{prompt}" not in text or "{response}" not in text:
        raise JudgeError(
            f"The template '{shorten(path)}' has no place for {{prompt}} or {{response}}.",
            "Put both where the guard expects the request and the answer.",
        )
    return text
