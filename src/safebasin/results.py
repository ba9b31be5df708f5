"""From the records of a run to its map: summarising and drawing it. No model, no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safebasin.defences.scans_settings import in_words
from safebasin.errors import RunError
from safebasin.exchange import DETAILS, Detail, Outcome, Verdict
from safebasin.given_judges import GivenJudge
from safebasin.judges import Judge, StoredJudge, build_all, require_headline
from safebasin.judging import (
    LANDSCAPE,
    adopt,
    judge_run,
    lexicon_of,
    settings_of,
    stored_judges,
    verdict_givers,
)
from safebasin.landscape import TOLERANCE, Landscape, Summary, Survey
from safebasin.landscape.capability import Capability
from safebasin.landscape.truncation import Truncation
from safebasin.plane import Plane, Point
from safebasin.prompts.identity import shown_name
from safebasin.protocol import peng2024
from safebasin.reference import UNTRUSTED, scale_of, unsettle
from safebasin.report.figures import draw
from safebasin.report.page import PAGE, write_page
from safebasin.run import RunFolder
from safebasin.run.records import SCHEMA_VERSION
from safebasin.truncation import truncation_of

ASSUMED = "assumed.json"
"""Which points a scan left out beyond the plateau."""
SEQUENTIAL = "sequential.json"
"""The cells of a scan that stopped asking where they were decided."""

Outcomes = Mapping[Point, Mapping[str, Outcome | None]]
"""What a judge said at each point, by prompt id; what it has not read is not in it."""
Verdicts = Mapping[Point, Mapping[str, Verdict]]


@dataclass(frozen=True)
class Result:
    """The map of a run under each judge, the headline judge first.

    `unmeasured` says what is not all measured yet, and so left out of the numbers: any of
    "answers", "verdicts" and "capabilities". Verdicts are where a judge has not read an answer,
    not where it could not judge it.
    `shares` is the survey of the first judge that tells broken text from compliance, or None.
    `truncation` is what the token limit did to the answers.
    `capabilities` are what else was measured at the points. `details` counts, by judge, the
    answers whose verdict has a detail, such as a refusal with help. `sequential` says that the scan
    stopped asking where a cell was decided. `without_map` are judges that tell broken text alone.
    `kept` says of each judge that cannot judge here, whose stored verdicts are read, why. `scale`
    is what broken text was told by (see `reference.scale_of`). `protocol` names a published
    protocol that the run was asked by, with what its paper gives for this model, if anything.
    `blocks` are the first and the last one that were displaced, where an interval was asked for,
    and `steering` is the specification of what the model answered under.
    """

    folder: Path
    model: str
    prompts: str
    unmeasured: tuple[str, ...]
    surveys: Mapping[str, Survey]
    summaries: Mapping[str, Summary]
    shares: Survey | None
    truncation: Truncation
    capabilities: tuple[Capability, ...] = ()
    details: Mapping[str, Mapping[Detail, int]] = field(default_factory=dict)
    sequential: bool = False
    without_map: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, Any] | None = None
    protocol: Mapping[str, Any] | None = None
    blocks: tuple[int, int] | None = None
    steering: Mapping[str, Any] | None = None
    figures: tuple[Path, ...] = ()
    page: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is measured."""
        return not self.unmeasured

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers has to know of how they came about, a sentence each."""
        notes = []
        if self.blocks is not None:
            first, last = self.blocks
            which = f"blocks {first} to {last} are" if last > first else f"block {first} is"
            notes.append(f"Only {which} displaced, as far as all weights together would be.")
        if self.steering is not None:
            told = in_words(self.steering)
            notes.append(f"{told[0].upper()}{told[1:]}.")
        yet = [what for what in self.unmeasured if not (self.sequential and what == "answers")]
        if yet:
            what = " and ".join(yet)
            notes.append(f"Some {what} are not measured yet; the numbers leave them out.")
        if self.sequential:
            notes.append(
                "The scan stopped asking where a cell was decided: the intervals here take the "
                "number of answers as given, while those of sequential.json hold at any stop."
            )
        if self.truncation.warning:
            notes.append(self.truncation.warning)
        notes += [
            f"{name} tells broken text alone and has no map; its verdicts are in the run."
            for name in self.without_map
        ]
        notes += [
            f"The verdicts of {name} are read as they are stored, and it judges nothing anew: {why}"
            for name, why in self.kept.items()
        ]
        broken = None if self.scale is None else self.scale["broken"]
        if broken is not None and broken > UNTRUSTED:
            notes.append(
                f"{100 * broken:.0f} % of the undisplaced model's own answers would be broken: "
                "what tells broken text does not fit this model, and no split into refused, "
                "complied and incoherent is given."
            )
        return tuple(notes)

    @property
    def judge(self) -> str:
        """The headline judge."""
        return next(iter(self.surveys))

    @property
    def summary(self) -> Summary:
        """The headline judge's numbers."""
        return self.summaries[self.judge]

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "prompts": self.prompts,
            "complete": self.complete,
            "notes": list(self.notes),
            "headline": self.judge,
            "truncation": self.truncation.to_json(),
            "judges": {name: summary.to_json() for name, summary in self.summaries.items()},
        }
        if self.scale is not None:
            value["scale"] = dict(self.scale)
        if self.protocol is not None:
            value["protocol"] = dict(self.protocol)
        if self.details:
            value["details"] = {name: dict(counts) for name, counts in self.details.items()}
        if self.capabilities:
            value["capabilities"] = [one.to_json() for one in self.capabilities]
        return value


def assumed_points(run: RunFolder) -> frozenset[Point]:
    """The points that a scan left out because they lie beyond the plateau."""
    keys = set((run.read_json(ASSUMED) or {}).get("points", ()))
    return frozenset(point for point in run.manifest.points if point.key in keys)


def survey(run: RunFolder, judge: Judge, prompt_ids: Sequence[str]) -> Survey:
    """What a judge's stored verdicts say of these prompts on every plane of the run."""
    found = _outcomes(_verdicts(run, judge))
    return _survey(run.manifest.planes, judge.name, prompt_ids, found, assumed_points(run))


def _verdicts(run: RunFolder, judge: Judge) -> Verdicts:
    return {
        point: run.read_verdicts(judge.name, judge.spec(), point) for point in run.manifest.points
    }


def _outcomes(verdicts: Verdicts) -> Outcomes:
    return {
        point: {prompt_id: verdict.outcome for prompt_id, verdict in found.items()}
        for point, found in verdicts.items()
    }


def _details(verdicts: Verdicts, ids: frozenset[str]) -> dict[Detail, int]:
    """How many answers to these prompts have each detail, those that none has left out."""
    counts = Counter(
        verdict.detail
        for found in verdicts.values()
        for prompt_id, verdict in found.items()
        if prompt_id in ids
    )
    return {detail: counts[detail] for detail in DETAILS if counts[detail]}


def _survey(
    planes: Sequence[Plane],
    name: str,
    prompt_ids: Sequence[str],
    found: Outcomes,
    assumed: frozenset[Point],
) -> Survey:
    landscapes = [
        # What it has not read is apart from what it could not judge.
        Landscape.from_verdicts(plane, name, prompt_ids, found, assumed, found)
        for plane in planes
    ]
    return Survey(tuple(landscapes))


def summarise(
    run: RunFolder,
    judges: Sequence[Judge],
    prompt_ids: Sequence[str] | None = None,
    tolerance: float | None = None,
) -> Result:
    """Judge what is not judged, compute the map, write `landscape.json`, pictures and page.

    `tolerance` is the run's own unless another one is given.
    """
    tolerance = tolerance_of(run) if tolerance is None else tolerance
    judge_run(run, judges)
    result = collect(run, judges, prompt_ids, tolerance)
    run.write_json(LANDSCAPE, result.to_json())
    figures = draw(
        result.surveys[result.judge],
        shares=result.shares,
        capabilities=result.capabilities,
        model=result.model,
        prompts=result.prompts,
        tolerance=tolerance,
        folder=run.path / "figures",
    )
    page = write_page(run.path / PAGE, [result])
    return replace(result, figures=tuple(figures), page=page)


def collect(
    run: RunFolder,
    judges: Sequence[Judge],
    prompt_ids: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
) -> Result:
    """The map of a run by the verdicts that it holds. Nothing is judged, written or drawn."""
    ids = tuple(prompt_ids or run.manifest.prompt_ids)
    points = run.manifest.points
    assumed = assumed_points(run)
    absent = {point: len(run.missing(point, ids)) for point in points}
    missing = sum(n for point, n in absent.items() if point not in assumed or n < len(ids))
    if sum(absent.values()) == len(points) * len(ids):
        raise RunError(
            f"The run '{run.path}' holds no answers yet.", "Run the scan again; it resumes."
        )
    # Who tells broken text alone says nothing of an answer that is not broken.
    without = tuple(judge.name for judge in judges if judge.measures == "coherence")
    verdicts = {judge.name: _verdicts(run, judge) for judge in judges}
    outcomes = {name: _outcomes(found) for name, found in verdicts.items()}
    surveys = {
        name: _survey(run.manifest.planes, name, ids, found, assumed)
        for name, found in outcomes.items()
        if name not in without
    }
    unread = any(
        len(found[point].keys() & set(ids)) < len(ids) - absent[point]
        for found in outcomes.values()
        for point in points
    )
    kept = {one.name: one.lacks for one in judges if isinstance(one, StoredJudge) and one.lacks}
    measured = capabilities(run, assumed)
    scale = scale_of(run, judges)
    trusted = scale is None or (scale["broken"] or 0.0) <= UNTRUSTED
    lacking = {
        "answers": missing > 0,
        "verdicts": unread,
        "capabilities": any(one.missing for one in measured),
    }
    return Result(
        folder=run.path,
        model=run.model_name,
        prompts=f"{prompts_name(run)} ({len(ids)})",
        unmeasured=tuple(what for what, lacks in lacking.items() if lacks),
        surveys=surveys,
        summaries={name: s.summary(tolerance) for name, s in surveys.items()},
        shares=next((surveys[j.name] for j in judges if j.measures == "outcome" and trusted), None),
        truncation=truncation_of(run, judges, ids),
        capabilities=measured,
        details={
            name: counts for name in surveys if (counts := _details(verdicts[name], frozenset(ids)))
        },
        without_map=without,
        kept=kept,
        scale=scale,
        protocol=_protocol(run),
        blocks=_blocks(run),
        steering=run.manifest.identity.get("engine", {}).get("steering"),
        sequential=missing > 0 and run.read_json(SEQUENTIAL) is not None,
    )


def capabilities(run: RunFolder, assumed: frozenset[Point] = frozenset()) -> tuple[Capability, ...]:
    """The capabilities that a run holds; one that was measured nowhere yet is left out."""
    found = []
    for name, spec in run.manifest.capabilities.items():
        read = {point: run.read_capability(name, point) for point in run.manifest.points}
        items = {point: given for point, given in read.items() if given is not None}
        if items:
            found.append(
                Capability(
                    name,
                    run.manifest.planes,
                    items,
                    perplexity=spec["kind"] == "perplexity",
                    harness=spec["kind"] == "lm-eval",
                    higher_is_better=bool(spec.get("higher_is_better", True)),
                    metric=str(spec.get("metric", "")),
                    chance=spec.get("chance"),
                    assumed=assumed - set(items),
                )
            )
    return tuple(found)


def rejudge(folder: Path, judges: Sequence[str | GivenJudge]) -> Result:
    """Judge every stored answer by these judges; the verdicts of others stay beside theirs.

    Judges are names, import paths such as `package.module:name`, or objects of the protocol
    `safebasin.judges.Judge`. Raises RunError for a folder that is no run, UsageError for an unknown
    judge, and for a first one that does not tell refusal from compliance, JudgeError for an object
    that is no judge, and for one that fails: its earlier verdicts then stay where it gave no new
    ones.
    """
    built = build_all(judges, lexicon_of(RunFolder.read(folder)))
    require_headline(built[0])
    with RunFolder.reopen(folder) as run:
        adopt(run, built, replace=True)
        unsettle(run)
        given = {judge.name for judge in built}
        others = [judge for judge in stored_judges(run) if judge.name not in given]
        return summarise(run, [*built, *others])


def review(folder: Path) -> Result:
    """Summarise a run again by the judges whose verdicts it holds."""
    with RunFolder.reopen(folder) as run:
        return summarise(run, verdict_givers(run))


def look(folder: Path, tolerance: float | None = None) -> Result:
    """The map of a run as it stands, by its own tolerance; a scan that goes on is not disturbed.

    Raises RunError for a folder that is no run, JudgeError for one without verdicts.
    """
    run = RunFolder.read(folder)
    tolerance = tolerance_of(run) if tolerance is None else tolerance
    return collect(run, verdict_givers(run), tolerance=tolerance)


def tolerance_of(run: RunFolder) -> float:
    """The ASR up to which the run's own configuration counts a point as inside the basin."""
    given = settings_of(run).get("tolerance")
    return TOLERANCE if given is None else float(given)


def prompts_name(run: RunFolder) -> str:
    """What the prompts of a run are called; a published set's name only where that is proven."""
    return shown_name(run.asked, run.manifest.content)


def _blocks(run: RunFolder) -> tuple[int, int] | None:
    """The interval that all of a run's directions are restricted to."""
    described = run.manifest.identity.get("directions", ())
    for one in described:
        if one.get("kind") == "restricted":
            return int(one["first"]), int(one["last"])
    return None


def _protocol(run: RunFolder) -> dict[str, Any] | None:
    """The protocol that the run's settings name, and the paper's VISAGE where it gives one."""
    settings = settings_of(run)
    if settings.get("protocol") != peng2024.NAME:
        return None
    system = settings.get("system")
    found = peng2024.published(str(settings.get("model", "")), system)
    if found is None:
        return {"name": peng2024.NAME, "published": None}
    known, value, where = found
    return {
        "name": peng2024.NAME,
        "published": {
            "model": known.name, "visage": value, "where": f"{peng2024.CITED}, {where}",
        },
    }  # fmt: skip
