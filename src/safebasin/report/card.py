"""A run as a section of a model card, and as an evaluation result for the hub."""

from __future__ import annotations

import importlib
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safebasin.errors import RunError, UsageError
from safebasin.landscape.summary import UNJUDGED_LIMIT
from safebasin.landscape.table import MEASURES, Measure
from safebasin.landscape.truncation import stored_text
from safebasin.prompts.identity import proven, shown_name
from safebasin.prompts.published import PUBLISHED, Published
from safebasin.report.asked_under import asked_under
from safebasin.report.broken_text import told_by
from safebasin.report.quantities import form
from safebasin.run import RunFolder
from safebasin.run.stored_weights import told_storage
from safebasin.terminal import printable, shorten

JSON = Mapping[str, Any]

HEADING = "## Safety in weight space"
OWN_CARD = re.compile(rb"\A" + re.escape(HEADING.encode()) + rb"\r?\n")
"""How an earlier card begins."""
OWN_RESULTS = re.compile(rb"\A- dataset:\s")
"""How an earlier `.eval_results` begins."""

_DATASET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$])")


def card(run: RunFolder, summary: JSON) -> str:
    """The section as Markdown: numbers with intervals, judges, prompts, and the command.

    summary: the numbers of the run as JSON values, counted from its records (`results.look`), not
    read from its `landscape.json`.
    No prompt and no answer is in it.
    """
    return "\n".join(_lines(run, summary)) + "\n"


def eval_results(run: RunFolder, summary: JSON, dataset: str | None = None) -> str:
    """The `.eval_results` YAML of the hub: the headline ASR of the undisplaced model, and VISAGE.

    A run of one point, or of a model that is outside its basin, has no VISAGE.
    summary: as for `card`.
    dataset: the hub id of the data set of the prompts, where they are no published set.
    Raises UsageError where that id cannot be one, or is a published set's that the prompts are not.
    Raises RunError where no data set is known, or where the numbers are not defined.
    """
    repository = dataset_of(run, dataset)
    headline = summary["judges"][summary["headline"]]
    share = _unjudged_share(headline)
    check_judged(run, summary["headline"], share)
    if not summary["complete"]:
        raise RunError(
            f"The run '{run.path}' is not complete: a result by a part of it would mislead.",
            "Run the scan again; it resumes.",
        )
    entries = [
        HubResult(
            task,
            estimate,
            scale,
            f"judge {summary['headline']}; {headline['prompts']} prompts, {headline['unjudged']} "
            f"of {headline['judged'] + headline['unjudged']} answers not judged",
        )
        for task, estimate, scale in _results(headline)
    ]
    return results_yaml(run, repository, entries)


@dataclass(frozen=True)
class HubResult:
    """One number for the hub: an estimate as JSON values, and by what its value is multiplied."""

    task: str
    estimate: JSON
    scale: float
    notes: str


def dataset_of(run: RunFolder, dataset: str | None) -> str:
    """The hub id of the data set of a run's prompts; `dataset` names it where none is known.

    Raises UsageError where that id cannot be one, or is a published set's that the prompts are not
    known to be of; RunError where no data set is known.
    """
    if dataset is not None:
        check_dataset(dataset)
    published = _published(run)
    repository = dataset or (published.repository if published else "")
    if not repository:
        raise RunError(
            f"The prompts '{shown_name(_prompts(run), run.manifest.content)}' are no data set of "
            "the hub.",
            "Name it with --dataset OWNER/NAME.",
        )
    _check_claim(repository, published)
    return repository


def check_judged(run: RunFolder, judge: str, unjudged: float) -> None:
    """Raises RunError where a judge left more unjudged, a share in [0, 1], than may be left out."""
    if unjudged > UNJUDGED_LIMIT:
        raise RunError(
            f"{judge} could not judge {100 * unjudged:.1f} % of the answers of "
            f"'{run.path}': a result without them would mislead.",
            "Judge them with `safebasin rejudge`.",
        )


def results_yaml(run: RunFolder, repository: str, results: Sequence[HubResult]) -> str:
    """The hub's YAML of these numbers; those without a value are left out.

    Raises RunError where none has one.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for one in results:
        estimate, scale = one.estimate, one.scale
        if estimate["value"] is None:
            continue
        bounds = "no interval"
        if estimate["low"] is not None and estimate["high"] is not None:
            low, high = (f"{scale * estimate[side]:.1f}" for side in ("low", "high"))
            bounds = f"{100 * estimate['level']:g} % interval {low} to {high}"
        entries.append(
            EvalResultEntry(
                dataset_id=repository,
                task_id=one.task,
                value=round(scale * estimate["value"], 2),
                dataset_revision=_prompts(run).get("revision") or None,
                date=_started(run),
                notes=f"{bounds}; {printable(one.notes)}; sha256 {_prompts(run)['sha256'][:16]}",
            )
        )
    if not entries:
        raise RunError(
            f"The run '{run.path}' has no defined number to report.",
            "Judge it again with `safebasin rejudge`.",
        )
    text: str = importlib.import_module("yaml").safe_dump(
        eval_result_entries_to_yaml(entries), sort_keys=False
    )
    return text


def check_dataset(name: str) -> None:
    """Raises UsageError for what cannot be the id of a data set of the hub."""
    if _DATASET.fullmatch(name) is None:
        raise UsageError(
            f"'{shorten(name)}' is no id of a data set: it is OWNER/NAME, or one name, of letters, "
            "digits, '-', '_' and '.'.",
            "Correct --dataset.",
        )


def _check_claim(repository: str, published: Published | None) -> None:
    """Raises UsageError where a published set is named that the prompts are not known to be of."""
    own = {one.name for one in PUBLISHED if one.repository.casefold() == repository.casefold()}
    if own and (published is None or published.name not in own):
        raise UsageError(
            f"The prompts of this run are not known to be those of '{repository}': neither the "
            "digest of their content nor a commit of the hub says so.",
            f"Give the hub's set with --prompts {min(own, key=len)}, or the data set that holds "
            "these.",
        )


def _results(summary: JSON) -> Iterator[tuple[str, JSON, float]]:
    if summary["origin"] is not None:
        yield "attack_success_rate", summary["origin"]["asr"], 100.0
    if not _one_point(summary) and not summary.get("no_basin"):
        yield "visage", summary["visage"], 1.0


def _one_point(summary: JSON) -> bool:
    """Whether the run is of one point, as one of `evaluate` is, and so no landscape."""
    return all(len(values) == 1 for values in summary["axes"])


def _prompts(run: RunFolder) -> dict[str, Any]:
    return dict(run.asked)


def _published(run: RunFolder) -> Published | None:
    return proven(_prompts(run), run.manifest.content)


def _started(run: RunFolder) -> str | None:
    return (run.manifest.sessions[0].get("started") if run.manifest.sessions else None) or None


def _lines(run: RunFolder, landscape: JSON) -> Iterator[str]:
    headline = landscape["headline"]
    summary = landscape["judges"][headline]
    model = plain(landscape["model"])
    yield HEADING
    yield ""
    directions = len(summary["directions"])
    shape = " x ".join(str(len(values)) for values in summary["axes"])
    what = "direction" if len(summary["axes"]) == 1 else "plane"
    if _one_point(summary):
        yield f"How {model} answers as it is; its weights were not displaced."
    else:
        yield (
            f"How far the weights of {model} can be displaced before it stops refusing: "
            f"{directions} {what}{'s' if directions > 1 else ''} of {shape} points, a displacement "
            "being relative to each tensor's Frobenius norm "
            "([Peng et al. 2024](https://arxiv.org/abs/2405.17374))."
        )
    yield ""
    for warning in _warnings(landscape):
        yield f"**{warning}**"
        yield ""
    yield "| | " + " | ".join(plain(name) for name in landscape["judges"]) + " |"
    yield "|---|" + "---|" * len(landscape["judges"])
    for label, cells in _rows(landscape):
        yield f"| {label} | {' | '.join(cells)} |"
    yield ""
    visage = " VISAGE does not see how wide a basin is; the area does."
    yield (
        "Intervals are at 95 %. ASR is the share of judged answers that are no refusals; broken "
        f"text counts.{'' if _one_point(summary) else visage}"
    )
    yield ""
    yield from prompt_lines(run, summary["prompts"])
    yield f"- **System message**: {plain(asked_under(run.manifest))}"
    yield f"- **Headline judge**: {plain(headline)}"
    if (told := told_by(landscape.get("scale"))) is not None:
        yield f"- **Broken text** is told {told}"
    yield from answer_lines(run)
    if "truncation" in landscape:  # not in the summary of an older run
        yield f"- **Cut**: {stored_text(landscape['truncation'])}"
    yield from weights_lines(run)
    yield from command_lines(run)
    yield ""
    if _one_point(summary):
        yield "A judge misreads some answers."
    else:
        yield (
            "A wide basin is no proof that fine-tuning is safe, and a judge misreads some answers."
        )


def prompt_lines(run: RunFolder, asked: int) -> Iterator[str]:
    """Which prompts, how many of them were asked, and the digest of their file."""
    yield f"- **Prompts**: {_source(run)}, {asked} of them, sha256"
    yield f"  `{plain_code(str(_prompts(run)['sha256']))}`"


def answer_lines(run: RunFolder) -> Iterator[str]:
    """How the answers were drawn."""
    sampling = run.manifest.identity.get("sampling", {})
    method, limit = plain(str(sampling.get("method", ""))), sampling.get("max_new_tokens")
    yield f"- **Answers**: {method}, up to {limit} tokens"


def weights_lines(run: RunFolder) -> Iterator[str]:
    """The fingerprints of the weights, of the tuned model's too where there is one."""
    for part, what in (("model", "Weights"), ("tuned", "Weights of the tuned model")):
        model = run.manifest.identity.get(part)
        fingerprint = model.get("fingerprint") if isinstance(model, dict) else None
        if fingerprint:
            yield f"- **{what}**: fingerprint `{plain_code(str(fingerprint)[:16])}`"
        stored = model.get("quantisation") if isinstance(model, dict) else None
        if isinstance(stored, dict):
            yield f"- **{what} stored as**: {plain(told_storage(stored))}"


def command_lines(run: RunFolder) -> Iterator[str]:
    """The version and the command of the first sitting; later ones may only have judged."""
    if run.manifest.sessions:
        session = run.manifest.sessions[0]
        yield f"- **safebasin** {plain(session.get('versions', {}).get('safebasin') or '')}:"
        yield f"  `{plain_code(shlex.join(session.get('command', ())))}`"


def _source(run: RunFolder) -> str:
    prompts, published = _prompts(run), _published(run)
    name = plain(shown_name(prompts, run.manifest.content))
    revision = str(prompts.get("revision") or "")
    if published is None:
        return name + (f" at {plain(revision)}" if revision else "")
    page = published.hub_page() if published.repository else published.page
    licence = f", {published.licence}" if published.licence else ""
    return f"[{name}]({page}){f' at `{plain_code(revision[:12])}`' if revision else ''}{licence}"


def _warnings(landscape: JSON) -> Iterator[str]:
    """What has to be known before the numbers: what is missing, and what was not judged."""
    notes = landscape.get("notes", ())
    if not landscape["complete"] and not notes:
        yield "This run is not complete; the numbers leave out what is missing."
    yield from map(plain, notes)
    model = plain(landscape["model"])
    for name, summary in landscape["judges"].items():
        if no_basin := summary.get("no_basin"):  # not in the summary of an older run
            yield f"By {plain(name)}, {model} {plain(no_basin)}."
    for name, summary in landscape["judges"].items():
        share = _unjudged_share(summary)
        if share > UNJUDGED_LIMIT:
            yield (
                f"{plain(name)} could not judge {100 * share:.1f} % of the answers; its numbers "
                "leave them out."
            )


def unjudged_shares(summary: JSON) -> dict[str, float]:
    """The share of answers that each judge left unjudged, in [0, 1]; `summary` as for `card`."""
    return {name: _unjudged_share(one) for name, one in summary["judges"].items()}


def _unjudged_share(summary: JSON) -> float:
    return float(summary["unjudged"] / max(1, summary["judged"] + summary["unjudged"]))


def _rows(landscape: JSON) -> Iterator[tuple[str, list[str]]]:
    summaries = list(landscape["judges"].values())
    for measure in MEASURES.values():
        if _one_point(summaries[0]) and measure.part != "origin":
            continue
        found = [_at(summary, measure.key) for summary in summaries]
        if measure.label is not None and (measure.absent or None not in found):
            label = (measure.label or measure.name).format(tolerance=_tolerance(summaries[0]))
            cells = zip(summaries, found, strict=True)
            yield label, [_cell(measure, summary, one) for summary, one in cells]
    yield (
        "Refused / complied / incoherent at the origin",
        [_counts(summary["origin"]) for summary in summaries],
    )
    yield (
        "Not judged",
        [f"{s['unjudged']} of {s['judged'] + s['unjudged']}" for s in summaries],
    )


def _at(summary: JSON, key: str) -> JSON | None:
    """What stands at a key with dots between its levels; None where a level is not there."""
    found: Any = summary
    for level in key.split("."):
        found = None if found is None else found.get(level)
    return found  # type: ignore[no-any-return]


def _tolerance(summary: JSON) -> float:
    """In per cent; it is part of what is said of a line or a plane."""
    return 100 * float((summary["basin"] or summary["region"])["tolerance"])


def _cell(measure: Measure, summary: JSON, estimate: JSON | None) -> str:
    """A measure of one judge, and where there is no basin that it says nothing."""
    if estimate is None:
        return measure.absent
    spec, scale, unit = form(measure.unit)
    value = number(estimate, spec, scale, unit)
    meant = not measure.of_basin or not summary.get("no_basin")
    return value if meant else f"{value}, without meaning: no basin"


def _counts(origin: JSON | None) -> str:
    if origin is None:
        return "not in the grid"
    return " / ".join(str(origin[name]) for name in ("refused", "complied", "incoherent"))


def percent(estimate: JSON) -> str:
    """A share as a percentage with its interval."""
    return number(estimate, ".1f", 100.0, " %")


def number(estimate: JSON, spec: str, scale: float = 1.0, unit: str = "") -> str:
    """`value unit (low to high)`, or that it is not defined."""
    value = estimate["value"]
    if value is None or not math.isfinite(value):
        return "not defined"
    text = f"{'at least ' if estimate['at_least'] else ''}{scale * value:{spec}}{unit}"
    if estimate["low"] is None:
        return text
    high = " or more" if estimate["high"] is None else f" to {scale * estimate['high']:{spec}}"
    return f"{text} ({scale * estimate['low']:{spec}}{high})"


def plain(text: str) -> str:
    """Foreign text as text in Markdown: no markup, no HTML, no line break."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def plain_code(text: str) -> str:
    """Foreign text between backticks, which it cannot close."""
    return printable(text).replace("`", "'")
