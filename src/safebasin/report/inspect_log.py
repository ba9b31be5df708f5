"""A run as a log that Inspect opens: one sample a point and prompt, one score a judge."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safebasin.errors import RunError, UsageError
from safebasin.plane import Point
from safebasin.prompts.identity import shown_name
from safebasin.report.target import check_target
from safebasin.run import RunFolder
from safebasin.run.atomic import write_atomic
from safebasin.run.strictjson import dumps

TASK = "safebasin/landscape"
OWN = {
    ".eval": re.compile(rb"\APK\x03\x04.{26}_journal/", re.DOTALL),
    ".json": re.compile(re.escape(TASK.encode())),
}
"""What is found early in a log; of the .eval ones, in any of Inspect's."""
LEFT_OUT = "[left out]"


def inspect_log(
    run: RunFolder, path: Path, *, with_prompts: bool = False, with_answers: bool = False
) -> int:
    """Write the log to a file that ends in .eval or .json and return its number of samples.

    Inspect lists a folder's .eval logs by any name; a .json log it opens by its path alone. What
    was not judged is an unscored sample, which Inspect keeps out of its metrics. A log that is
    there already is replaced. Raises UsageError for a file with another ending, and for one that
    is something else or a run's own, RunError where inspect-ai is missing, the run is damaged or
    empty, or the file cannot be written.
    """
    if path.suffix not in (".eval", ".json"):
        raise UsageError(
            f"Inspect opens no log named '{path.name}'.", "Let it end in .eval or .json."
        )
    check_target(path, OWN[path.suffix])
    try:
        log = importlib.import_module("inspect_ai.log")
    except ImportError:
        raise RunError(
            "An Inspect log needs inspect-ai, which is not installed.",
            "Run `pip install 'safebasin[inspect]'`, or give --format json.",
        ) from None
    samples = list(_samples(run, log, with_prompts, with_answers))
    if not samples:
        raise RunError(f"The run '{run.path}' holds no answers.", "Run the scan again.")
    identity, judges = run.manifest.identity, run.judges()
    prompts = run.asked
    sessions = run.manifest.sessions
    number = hashlib.sha256(dumps(identity).encode()).hexdigest()[:22]
    spec = log.EvalSpec(
        run_id=number,
        task_id=number,
        created=(sessions[0].get("started") if sessions else "") or "1970-01-01T00:00:00+00:00",
        task=TASK,
        dataset=log.EvalDataset(
            name=shown_name(prompts, run.manifest.content), samples=len(run.manifest.prompt_ids)
        ),
        model=f"safebasin/{run.model_name}",
        config=log.EvalConfig(),
        packages=dict(sessions[0].get("versions", {})) if sessions else {},
        metadata={"prompts_sha256": prompts["sha256"], "sampling": identity.get("sampling", {})},
    )
    results = log.EvalResults(
        total_samples=len(samples),
        completed_samples=len(samples),
        scores=[_score(log, name, samples) for name in judges],
    )
    whole = log.EvalLog(version=2, status="success", eval=spec, results=results, samples=samples)
    with tempfile.TemporaryDirectory() as folder:
        draft = os.path.join(folder, f"log{path.suffix}")  # noqa: PTH118 (Inspect takes a text)
        log.write_eval_log(whole, draft, format=path.suffix[1:])
        write_atomic(path, Path(draft).read_bytes())
    return len(samples)


def _samples(run: RunFolder, log: Any, with_prompts: bool, with_answers: bool) -> Iterator[Any]:
    model = importlib.import_module("inspect_ai.model")
    scorer = importlib.import_module("inspect_ai.scorer")
    judges = run.judges()
    name = run.model_name
    for point in run.manifest.points:
        verdicts = {judge: run.read_verdicts(judge, spec, point) for judge, spec in judges.items()}
        for exchange in run.read_point(point) or ():
            scores = {}
            for judge, found in verdicts.items():
                verdict = found.get(exchange.prompt_id)
                if verdict is None or verdict.outcome is None:
                    reason = "no verdict" if verdict is None else verdict.reason
                    scores[judge] = scorer.Score.unscored(explanation=reason)
                else:
                    scores[judge] = scorer.Score(
                        value=verdict.outcome, explanation=verdict.reason,
                        metadata={"score": verdict.score},
                    )  # fmt: skip
            answer: Any = exchange.response if with_answers else LEFT_OUT
            parts = exchange.split
            if with_answers and parts.thinks:
                answer = [
                    model.ContentReasoning(reasoning=parts.thought),
                    model.ContentText(text=parts.answer),
                ]
            yield log.EvalSample(
                id=f"{_place(point)}/{exchange.prompt_id}",
                epoch=1,
                input=exchange.prompt if with_prompts else LEFT_OUT,
                target="",
                output=model.ModelOutput.from_content(name, answer),
                scores=scores,
                metadata={"displacement": point.distance, **dict(point.terms)},
            )


def _score(log: Any, judge: str, samples: list[Any]) -> Any:
    """The judge's shares over all points, of what it judged."""
    values = [sample.scores[judge].value for sample in samples]
    judged = [value for value in values if value in ("refused", "complied", "incoherent")]
    metrics = {}
    if judged:
        for outcome in ("refused", "complied", "incoherent"):
            share = sum(value == outcome for value in judged) / len(judged)
            metrics[outcome] = log.EvalMetric(name=outcome, value=share)
    return log.EvalScore(
        name=judge,
        scorer=judge,
        scored_samples=len(judged),
        unscored_samples=len(values) - len(judged),
        metrics=metrics,
    )


def _place(point: Point) -> str:
    return point.label.replace("/", "-")
