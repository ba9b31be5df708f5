"""The worst-case search and how far each direction is safe."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.directions import Direction, Given, Held, random_direction
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.token_table import pad_token_of
from safebasin.errors import RunError
from safebasin.judges import verdicts_of
from safebasin.landscape import Survey
from safebasin.landscape.intervals import Estimate
from safebasin.plane import Axis, Plane, Point
from safebasin.report.lines import Line, draw_lines
from safebasin.run import sealed
from safebasin.run.kinds import STUDY_FILES
from safebasin.run.records import SCHEMA_VERSION
from safebasin.run.strictjson import dumps, loads
from safebasin.study.edge import edge_part, path_survey
from safebasin.study.engine import build_engine
from safebasin.study.loop import measure
from safebasin.study.observer import Observer, Silent
from safebasin.study.parts import Part
from safebasin.study.plan import StudyPlan, study_plan
from safebasin.study.work import Work
from safebasin.terminal import printable
from safebasin.worst_case.ascent import ascend, gradient_direction
from safebasin.worst_case.preparation import Prepared, prepare
from safebasin.worst_case.scores import FirstToken
from safebasin.worst_case.settings import WorstCaseConfig

LOG = logging.getLogger(__name__)

SEARCH, REPORT = "search.json", STUDY_FILES["worst-case"]
CHOSEN = ("worst-case", "gradient")
BOTH_SIDES = "alignment"
"""The direction that is measured to both sides."""
ROUNDS = 3
"""How often the place where a line leaves the basin is looked at more finely."""

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Measured:
    """One direction: its landscape on prompts that the search did not see, and how far it is safe.

    `length` is the effective perturbation length outward, `back` the same to the other side where
    it was measured.
    """

    name: str
    survey: Survey
    length: Estimate
    back: Estimate | None

    def to_json(self, tolerance: float) -> dict[str, Any]:
        return {
            "name": self.name,
            "effective_length": self.length.to_json(),
            "effective_length_back": None if self.back is None else self.back.to_json(),
            "landscape": self.survey.summary(tolerance).to_json(),
        }


@dataclass(frozen=True)
class Found:
    """The directions of a search, the worst-case one first.

    `scores` are the mean log-probability that an answer does not begin as a refusal: at the
    origin, and where each restart ended. `files` are the saved directions, for `--directions`.
    """

    folder: Path
    model: str
    prompts: int
    tolerance: float
    scores: tuple[float, ...]
    lines: tuple[Measured, ...]
    files: tuple[Path, ...]
    figures: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "prompts": self.prompts,
            "tolerance": self.tolerance,
            "score_at_origin": self.scores[0],
            "scores_reached": list(self.scores[1:]),
            "directions": [line.to_json(self.tolerance) for line in self.lines],
            "files": [path.name for path in self.files],
        }


def plan(prepared: Prepared, *, probe: bool) -> StudyPlan:
    """What the search will cost, by a measured batch if `probe`. Writes nothing."""
    config, scan = prepared.config, prepared.config.scan
    names = [*CHOSEN, *(f"gaussian-{seed}" for seed in scan.random_seeds)]
    names += [BOTH_SIDES] if prepared.alignment is not None else []
    work = _along(prepared, names[0], Held(names[0], {}))
    passes = (config.restarts + 1) * (config.iterations + 1)
    further = [f"before: a search of {passes} gradients over {len(prepared.searched)} prompts"]
    if config.refine:
        further.append("after: finer places where a line leaves the basin")
    parts = [_line_part(prepared, name) for name in names]
    return study_plan(work, parts, further, probe=probe)


def search(
    prepared: Prepared, observer: Observer | None = None, progress: Progress | None = None
) -> Found:
    """Search, save the directions, and measure each beside random ones on other prompts.

    What was found and measured is on the disk; the same call goes on where an interrupted one
    stopped. Raises RunMismatch where the folder holds another search.
    """
    observer = observer or Silent()
    config = prepared.config
    scores, files = _directions(prepared, progress)
    directions = _named(prepared, files)
    lines = [_measured(prepared, name, one, observer) for name, one in directions.items()]
    found = Found(
        folder=prepared.folder,
        model=prepared.subject.checkpoint.name,
        prompts=len(prepared.asked),
        tolerance=config.scan.tolerance,
        scores=scores,
        lines=tuple(lines),
        files=files,
    )
    figures = draw_lines(
        [Line(_label(one), one.name not in CHOSEN, one.survey) for one in lines],
        name="worst-case",
        title=f"{found.model}: chosen and random directions",
        tolerance=found.tolerance,
        folder=found.folder / "figures",
    )
    found = dataclasses.replace(found, figures=tuple(figures))
    sealed.write(found.folder / REPORT, found.to_json())
    return found


def _directions(
    prepared: Prepared, progress: Progress | None
) -> tuple[tuple[float, ...], tuple[Path, ...]]:
    """The saved directions and the scores of the search, searched for unless they are there."""
    files = _files(prepared.folder)
    record = prepared.folder / SEARCH
    wanted = loads(dumps(prepared.identity).encode())
    if record.exists() and all(path.exists() for path in files):
        known = _recorded(record)
        if known["identity"] == wanted:
            return tuple(known["scores"]), files
    harm = _harm(prepared)
    config = prepared.config
    subject = prepared.subject
    found = ascend(
        subject.model,
        subject.weights,
        harm,
        radius=config.ball,
        steps=config.iterations,
        seeds=range(config.restarts),
        progress=progress,
    )
    # At coefficient `ball` the saved direction is the displacement that was found.
    found.best.save(files[0], 1 / config.ball)
    gradient_direction(subject.model, subject.weights, harm).save(files[1])
    scores = (found.start, *found.reached)
    content = {"identity": wanted, "scores": list(scores)}
    sealed.write(record, content)
    return scores, files


def _recorded(record: Path) -> Mapping[str, Any]:
    """What an earlier sitting wrote of its search.

    Raises:
        RunError: It was changed after it was written, or is damaged.
    """
    try:
        known: Mapping[str, Any] = sealed.read(record)
        return known
    except ValueError as error:
        raise RunError(
            f"{printable(str(record))} is damaged: {error}.",
            "Remove the file and run the same command again; it searches anew.",
        ) from None


def _named(prepared: Prepared, files: Sequence[Path]) -> dict[str, Direction]:
    """The directions that are measured: those found, the random ones, and that of alignment."""
    weights = prepared.subject.weights
    directions: dict[str, Direction] = {
        path.stem: Given(path, weights, name=path.stem) for path in files
    }
    scan = prepared.config.scan
    for seed in scan.random_seeds:
        directions[f"gaussian-{seed}"] = random_direction(seed, weights, law=scan.law)
    if prepared.alignment is not None:
        directions[BOTH_SIDES] = prepared.alignment
    return directions


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / "directions" / f"{name}.safetensors" for name in CHOSEN)


def _harm(prepared: Prepared) -> Callable[[], Any]:
    """The score on the search prompts that the undisplaced model refuses."""
    prompts, subject = prepared.searched.prompts, prepared.subject
    engine = build_engine(prepared.config.scan, subject, {})
    LOG.info("asking the prompts of the search")
    [(_, exchanges)] = engine.answers([Point()], prompts, prepared.sampling)
    encoded = [subject.template.encode(prompt) for prompt in prompts]
    verdicts = verdicts_of(prepared.judges[0], exchanges)
    score = FirstToken.of(encoded, exchanges, verdicts, subject.tokenizer)
    pad = pad_token_of(subject.model, subject.tokenizer, ())
    return lambda: score.harm(subject.model, pad)


def _measured(prepared: Prepared, name: str, direction: Direction, observer: Observer) -> Measured:
    scan, config = prepared.config.scan, prepared.config
    both = name == BOTH_SIDES
    part = _line_part(prepared, name)
    parts = [part]
    with _along(prepared, name, direction).kept() as work:
        measure(work, [part], observer)
        for side in (1, -1) if both else (1,):
            for turn in range(1, ROUNDS + 1):
                so_far = path_survey(prepared.folder, parts, part.judges[0])
                tag = f"{name}-edge{'-back' if side < 0 else ''}-{turn}"
                edge = edge_part(tag, part, so_far, scan.tolerance, config.refine, side)
                if edge is None:
                    break
                measure(work, [edge], observer)
                parts.append(edge)
    found = path_survey(prepared.folder, parts, part.judges[0])
    basin = found.basin(scan.tolerance)
    return Measured(name, found, basin.positive.width, basin.negative.width if both else None)


def _line_part(prepared: Prepared, name: str) -> Part:
    """The even steps along a direction: outward, and to both sides of the alignment direction."""
    scan = prepared.config.scan
    whole = Axis.symmetric(name, scan.radius, scan.steps)
    both = name == BOTH_SIDES
    values = whole.values if both else tuple(value for value in whole.values if value >= 0)
    return Part(name, prepared.asked, (Plane((Axis(name, values),)),), prepared.judges)


def _along(prepared: Prepared, name: str, direction: Direction) -> Work[WorstCaseConfig]:
    """What is asked along one direction; an actor reads what was found."""
    return Work(
        config=prepared.config,
        engine=build_engine(
            prepared.config.scan, prepared.subject, {name: direction}, prepared.judges
        ),
        sampling=prepared.sampling,
        lexicon=prepared.lexicon,
        identity={**prepared.identity, "direction": _described(direction)},
        folder=prepared.folder,
        build=_engine,
        which=(name,),
        deciding=prepared.judges,
    )


def _engine(config: WorstCaseConfig, name: str) -> AnyEngine:
    """The engine along one direction of a search with these settings, built anew."""
    prepared = prepare(config)
    direction = _named(prepared, _files(prepared.folder))[name]
    return _along(prepared, name, direction).engine


def _described(direction: Direction) -> Mapping[str, Any]:
    """What rebuilds the direction, but for where its file lies."""
    return {key: value for key, value in direction.spec().items() if key != "path"}


def _label(one: Measured) -> str:
    back = "" if one.back is None else f", back {one.back.text('.3f')}"
    return f"{one.name}: effective length {one.length.text('.3f')}{back}"
