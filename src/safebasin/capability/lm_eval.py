"""Tasks of lm-evaluation-harness, by its Python API, on the displaced model in memory.

What has to be minded: it draws from the random states of the whole process, so they are seeded as
its own command does, and put back; its cache of answers knows a request by its text alone and
would repeat the first point's answers at every other point, so none is ever used; its wrapper
ties weights and chooses a padding token, so it is made once, before anything is displaced, with a
tokenizer of its own.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import logging
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from safebasin.capability.probe import Bench
from safebasin.checkpoint.chats import write_chat
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.template import Template
from safebasin.errors import PromptError, UsageError
from safebasin.landscape.capability import Item
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.terminal import shorten
from safebasin.thought import closing_of

LM_EVAL = "lm-eval:"
PREFERRED = ("acc", "exact_match", "acc_norm")
"""The metrics that are taken first where a task has several."""
BOOTSTRAPS = 1000
"""Resamples for the standard error of a metric that is no mean."""
DEFAULT_BATCH = 8
SEED = 1234
"""What lm-eval's own command seeds numpy, torch and the choice of examples with; `random` by 0."""


@dataclass(frozen=True)
class LmEvalTask:
    """A task that was found and whose data were read. `parts` are its leaves, by name."""

    name: str
    task: str
    fewshot: int | None
    limit: int
    loaded: Mapping[str, Any]
    parts: Mapping[str, Any]
    metric: str
    higher_is_better: bool
    sha256: str

    def probe(self, bench: Bench) -> LmEvalProbe:
        return LmEvalProbe(self, bench)


def load_lm_eval(spec: str, folder: str | None, limit: int) -> LmEvalTask:
    """`lm-eval:TASK[:FEWSHOT]`; `folder` holds task files of one's own (their --include-path).

    Raises UsageError where lm-eval is not installed or knows no such task, PromptError where the
    task's data cannot be read or fetched.
    """
    task, fewshot = _parsed(spec)
    _require()
    with _undisturbed():
        from lm_eval.tasks import TaskManager

        if folder is not None and not Path(folder).is_dir():
            raise UsageError(
                f"There is no folder '{shorten(folder)}' of tasks.", "Correct --capability-tasks."
            )
        manager = TaskManager(include_path=folder)
        if task not in manager.all_tasks:
            close = difflib.get_close_matches(task, manager.all_tasks, n=3)
            meant = f"Did you mean {' or '.join(close)}? " if close else ""
            raise UsageError(
                f"lm-eval knows no task '{shorten(task)}'.",
                f"{meant}Tasks of your own are found with --capability-tasks FOLDER.",
            )
        try:
            found = manager.load([task])
        except Exception as error:  # data sets fail in as many ways as there are hosts and files
            raise _no_data(task, error) from error
    parts = dict(found["tasks"])
    for name, part in parts.items():
        if getattr(part, "UNSAFE_CODE", False):
            raise UsageError(
                f"The task '{name}' runs code that a model writes.", "Give another task."
            )
    metric = _metric(task, parts)
    better = {bool(part.higher_is_better().get(metric, True)) for part in parts.values()}
    try:
        digest = _digest(parts)
    except Exception as error:  # the data are read here for the first time
        raise _no_data(task, error) from error
    for part in parts.values():
        own = part.get_config("num_fewshot")
        # As lm-eval's own command does: a task that says 0 means it.
        if own is None or (fewshot is not None and own != 0):
            part.set_config(key="num_fewshot", value=fewshot or 0)
    return LmEvalTask(
        spec, task, fewshot, limit, dict(found), parts, metric, better != {False}, digest
    )


def _written_by(template: Template) -> Callable[..., str]:
    """What lm-eval calls to write a conversation, within our limits."""

    def apply(chat: Sequence[Mapping[str, Any]], tokenize: bool = False, **options: Any) -> str:
        return write_chat(template.tokenizer, chat, template.source, today=template.day, **options)

    return apply


class LmEvalProbe:
    """One task at points, its documents one by one where each is right or wrong."""

    def __init__(self, task: LmEvalTask, bench: Bench) -> None:
        self.name = task.name
        self.task = task
        self.bench = bench
        template = bench.template
        tokenizer = copy.deepcopy(template.tokenizer)
        if template.source is not None:
            tokenizer.chat_template = template.source
            tokenizer.apply_chat_template = _written_by(template)
        if template.opens:
            _require_written(task)
        # An answer is what follows the end of a thought.
        closing = closing_of(template.source or "", template.marks)
        thought = {} if closing is None else {"think_end_token": closing}
        with _undisturbed():
            from lm_eval.models.huggingface import HFLM

            self._lm = HFLM(
                pretrained=bench.model,
                tokenizer=tokenizer,
                backend="causal",
                batch_size=bench.rows or DEFAULT_BATCH,
                **thought,
            )

    def spec(self) -> dict[str, object]:
        from importlib.metadata import version

        task = self.task
        return {
            "kind": "lm-eval",
            "task": task.task,
            "fewshot": task.fewshot,
            "limit": task.limit,
            "metric": task.metric,
            "higher_is_better": task.higher_is_better,
            "parts": {name: str(part.VERSION) for name, part in task.parts.items()},
            "sha256": task.sha256,
            "lm_eval": version("lm_eval"),
            "dtype": str(self.bench.model.dtype).removeprefix("torch."),
            "template": self.bench.template.spec(),
        }

    def seconds(self, points: Sequence[Point]) -> None:
        """Not known: what lm-eval makes of a task's documents shows only as it runs."""

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt] = (),
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Item]]]:
        for point in points:
            if wanted is not None and not wanted(point):
                continue
            terms = [(value, self.bench.directions[name]) for name, value in point.terms]
            with self.bench.weights.displaced(terms), _undisturbed():
                items = self._evaluate()
            yield point, items

    def _evaluate(self) -> list[Item]:
        """The task at the model as it stands. Nothing is cached: see the module's words."""
        from lm_eval import evaluate

        task, template = self.task, self.bench.template
        for part in task.parts.values():
            part.set_fewshot_seed(seed=SEED)
        results = evaluate(
            lm=self._lm,
            task_dict=dict(task.loaded),
            limit=task.limit or None,
            bootstrap_iters=BOOTSTRAPS,
            log_samples=True,
            apply_chat_template=template.source is not None,
            fewshot_as_multiturn=template.source is not None,
            system_instruction=template.system,
        )
        return [_item(name, task.metric, results) for name in sorted(task.parts)]


def _item(part: str, metric: str, results: Any) -> Item:
    """A leaf's number, its standard error, and its documents where each is right or wrong."""
    found = results["results"][part]
    key = next(name for name in found if name.split(",")[0] == metric)
    chosen = key.split(",", 1)[1]
    value, error = found[key], found.get(f"{metric}_stderr,{chosen}")
    samples = sorted(
        (one for one in results["samples"][part] if one["filter"] == chosen),
        key=lambda one: one["doc_id"],
    )
    marks = [one.get(metric) for one in samples]
    each = None
    if marks and all(isinstance(m, int | float | np.number) and m in (0, 1) for m in marks):
        share = sum(float(mark) for mark in marks) / len(marks)
        # Else the number is made in another way than by counting, and has to be taken as it is.
        if abs(share - float(value)) < 1e-9:
            each = "".join(str(int(mark)) for mark in marks)
    return Item(part, _number(value), max(1, len(samples)), stderr=_number(error), each=each)


def _number(value: Any) -> float | None:
    """A finite number, or None: lm-eval writes "N/A" where it has no standard error."""
    if isinstance(value, int | float | np.number) and math.isfinite(float(value)):
        return float(value)
    return None


def _parsed(spec: str) -> tuple[str, int | None]:
    task, _, shots = spec.removeprefix(LM_EVAL).partition(":")
    if not task or (shots and not shots.isdigit()):
        raise UsageError(
            f"'{shorten(spec)}' names no task.", "Give lm-eval:TASK or lm-eval:TASK:FEWSHOT."
        )
    return task, int(shots) if shots else None


def _require_written(task: LmEvalTask) -> None:
    """Raise UsageError for a task that measures what follows a prompt at once."""
    for name, part in task.parts.items():
        if part.OUTPUT_TYPE != "generate_until":
            raise UsageError(
                f"The chat template opens a thought, and '{name}' of lm-eval measures what follows "
                "at once.",
                "Give --template with one that opens none, or a file of questions with choices.",
            )


def _require() -> None:
    from importlib.util import find_spec

    if find_spec("lm_eval") is None:
        raise UsageError(
            "lm-evaluation-harness is not installed.",
            "Install it with: pip install 'safebasin[lm-eval]'",
        )


def _metric(task: str, parts: Mapping[str, Any]) -> str:
    """The metric that all parts of a task have."""
    shared = [
        name
        for name in next(iter(parts.values())).higher_is_better()
        if all(name in part.higher_is_better() for part in parts.values())
    ]
    if not shared:
        raise UsageError(
            f"The parts of '{task}' have no metric in common.", "Give one of its parts."
        )
    return next((name for name in PREFERRED if name in shared), shared[0])


def _digest(parts: Mapping[str, Any]) -> str:
    """SHA-256 over the documents of all parts."""
    total = hashlib.sha256()
    for name in sorted(parts):
        total.update(name.encode())
        for document in parts[name].eval_docs:
            text = json.dumps(document, sort_keys=True, default=str)
            total.update(text.encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _no_data(task: str, error: Exception) -> PromptError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return PromptError(
        f"The data of the lm-eval task '{task}' cannot be read: {shorten(lines[0], 160)}",
        "Fetch them once where there is a network, or use a task over local files.",
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put back the random states, and keep lm-eval's bars and notes off the terminal."""
    import torch
    from tqdm import tqdm

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    noisy = logging.getLogger("lm_eval")
    level, start = noisy.level, tqdm.__init__

    def silent(bar: Any, *given: Any, **named: Any) -> None:
        start(bar, *given, **{**named, "disable": True})

    noisy.setLevel(logging.CRITICAL)
    tqdm.__init__ = silent
    random.seed(0)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    try:
        yield
    finally:
        tqdm.__init__ = start
        noisy.setLevel(level)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpu is not None:
            torch.cuda.set_rng_state_all(on_gpu)
