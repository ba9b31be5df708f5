"""The bench: cell by cell, each on the disk when it is finished."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from safebasin.checkpoint import Checkpoint
from safebasin.defence_bench.base import Method, Setting
from safebasin.defence_bench.cells import CELLS, Cell, Sharing, alone, path_of, plan, read
from safebasin.defence_bench.measuring import (
    Defended,
    ablated,
    at_end,
    contrast,
    under_attack,
)
from safebasin.defence_bench.methods import intervals, methods_named
from safebasin.defence_bench.page import document
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.summary import summary
from safebasin.defence_bench.tables import markdown, table
from safebasin.defence_bench.tunes import plain
from safebasin.defence_bench.yardstick import Yardstick
from safebasin.engines.template import Template
from safebasin.errors import RunError, SafebasinError
from safebasin.finetune.defending import defences_of
from safebasin.finetune.freezing import Freezing
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import Tuned, finetune, require_packages
from safebasin.run.atomic import read_plain, write_atomic
from safebasin.run.lock import SHARDS_WAIT, lock_folder, refuse_foreign, unlock_folder
from safebasin.run.manifest import require_same
from safebasin.run.names import default_folder
from safebasin.run.provenance import plain_json, session
from safebasin.run.strictjson import dumps, loads
from safebasin.study.preparation import named
from safebasin.study.tuned import tuned_checkpoint
from safebasin.subject.encoding import Encoded
from safebasin.subject.row_sources import rows_of
from safebasin.subject.subject import Subject
from safebasin.terminal import printable, shorten
from safebasin.weights import Weights

DESIGN = "design.json"
BENCH, TABLE, TEXT, PAGE = "bench.json", "bench.csv", "bench.md", "bench.html"
MADE, TUNED = "made", "tunes"
"""Folders of the bench: what methods made for all cells, and fine-tunes."""

Progress = Callable[[int, int, str, float], None]
"""Called when a cell is finished: how many are done, of how many, which, and seconds it took."""


@dataclass(frozen=True)
class Found:
    """What was measured: the records of the cells, and the summary that was written.

    elsewhere  cells that other processes are still at, which the summary is without
    """

    folder: Path
    records: tuple[Mapping[str, Any], ...]
    summary: Mapping[str, Any]
    elsewhere: tuple[Cell, ...] = ()

    @property
    def failed(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(one for one in self.records if one["failed"] is not None)


def bench(
    config: BenchConfig, progress: Progress | None = None, command: Sequence[str] = ()
) -> Found:
    """Measure the cells that the folder has no record of yet, and write the summary.

    A cell that cannot be measured is recorded with its sentence, and the others go on; it is tried
    again by the next call. Several processes that are told the same at once share the cells; the
    last one to end writes the summary of them all. Raises UsageError as `plan` does, RunMismatch
    where the folder holds a bench of other settings, and RunError where it holds something else.
    """
    cells = plan(config)
    require_packages()
    checkpoint = checked(config)
    identity = plain_json({"model": named(checkpoint), "settings": config.settled()})
    folder = (
        Path(config.scan.out)
        if config.scan.out
        else default_folder(f"bench-{checkpoint.name}", identity)
    )
    refuse_foreign(folder, DESIGN)
    with _held(folder):
        _claim(folder, identity, command)
        for name in (CELLS, MADE):
            (folder / name).mkdir(exist_ok=True)
    sharing = Sharing(folder, cells)
    work: _Work | None = None
    with closing(sharing.turns()) as turns:
        for cell in turns:
            began = time.monotonic()
            if work is None:
                from safebasin.finetune import trainer  # noqa: F401 (its seconds are no training's)

                work = _Work(config, folder, Yardstick.of(config))
            record = work.record(cell)
            write_atomic(path_of(folder, cell), f"{dumps(record, indent=1)}\n".encode())
            if progress is not None:
                progress(sharing.done, len(cells), cell.name, time.monotonic() - began)
    if work is not None:
        work.forget()
    with _held(folder):
        elsewhere = tuple(one for one in cells if not sharing.recorded(one))
        records = tuple(read(folder, one) for one in cells if one not in elsewhere)
        whole = plain_json(summary(records, config, command))
        if records:
            write_atomic(folder / BENCH, f"{dumps(whole, indent=1)}\n".encode())
            write_atomic(folder / TABLE, table(whole).encode())
            write_atomic(folder / TEXT, markdown(whole).encode())
            write_atomic(folder / PAGE, document(whole).encode())
    return Found(folder, records, whole, elsewhere)


def checked(config: BenchConfig) -> Checkpoint:
    """The aligned model, of which no weight is read.

    Raises a SafebasinError for one that cannot be loaded, and UsageError for blocks it does not
    have.
    """
    trusted = config.scan.trust_remote_code
    checkpoint = Checkpoint.parse(config.scan.model, trust_remote_code=trusted)
    checkpoint.check()
    ablated = None if config.ablated_block is None else str(config.ablated_block)
    checkpoint.require_blocks(config.blocks, ablated, *intervals(config.defences))
    return checkpoint


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder while this process alone may write what all of them share."""
    lock = lock_folder(folder, wait=SHARDS_WAIT)
    try:
        yield
    finally:
        unlock_folder(folder, lock)


def _claim(folder: Path, identity: Mapping[str, Any], command: Sequence[str]) -> None:
    path = folder / DESIGN
    if path.exists():
        try:
            known = loads(read_plain(path))["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{printable(str(path))} is no design of a bench.", "Give another --out."
            ) from error
        require_same(
            known,
            identity,
            f"The folder {folder} holds a bench of other settings",
            "Give another --out, or the recorded settings to resume.",
        )
        return
    design = {"identity": identity, **session(command)}
    write_atomic(path, f"{dumps(plain_json(design), indent=1)}\n".encode())


@dataclass
class _Work:
    """What the cells of a bench share while they are measured: models and the plain fine-tunes."""

    config: BenchConfig
    folder: Path
    yard: Yardstick
    group: tuple[str, int] | None = None
    tuned: dict[str, Tuned] = field(default_factory=dict)
    subjects: dict[Path, Subject] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)

    @cached_property
    def methods(self) -> dict[str, Method]:
        return methods_named(self.config.defences, self.config)

    def record(self, cell: Cell) -> dict[str, Any]:
        """The cell measured, or why it could not be."""
        told = {"defence": cell.defence, "tune": cell.tune, "seed": cell.seed}
        try:
            return plain_json({**told, "failed": None, **self._measured(cell)})
        except SafebasinError as error:
            return {**told, "failed": f"{error.message} {error.hint}".strip()}
        except Exception as error:  # the other cells go on, whatever a method does
            return {**told, "failed": f"{type(error).__name__}: {shorten(str(error), 300)}"}

    def forget(self) -> None:
        """Let go of the models of a group of cells, and of what its trainings left."""
        for subject in self.subjects.values():
            subject.release()
        self.subjects.clear()
        self.tuned.clear()

    def _measured(self, cell: Cell) -> dict[str, Any]:
        if self.group != (cell.tune, cell.seed):
            self.forget()
            self.group = (cell.tune, cell.seed)
        method = self.methods[cell.defence]
        clock = _Clock()
        undefended = self._plain(cell)
        clock.stop("undefended")
        given = Setting(
            self.config, self.folder / MADE, undefended.loss, len(undefended.checkpoints)
        )
        tuned, own = undefended, None
        if method.own:
            own = self._own(cell, method, given)
            tuned = finetune(own)
        clock.stop("training")
        told: dict[str, Any] = {
            "loss": {"own_rows": tuned.loss, "undefended": undefended.loss},
            "epochs": len(tuned.checkpoints),
            "steps": tuned.steps,
            "matched": None
            if own is None or not own.until_loss
            else bool(tuned.loss is not None and tuned.loss <= own.until_loss),
        }
        places = _settings(tuned.checkpoints, self.config.settings)
        attacked = []
        for place, checkpoint in places:
            subject = self._subject(tuned, checkpoint, keep=not method.own)
            defended, size = self._defended(subject, method, given, tuned)
            clock.stop("defence")
            engine = defended.engine(self.yard, self.yard.judges)
            attacked.append({"epoch": place, **under_attack(defended, self.yard, engine)})
            clock.stop("measuring")
        told |= {
            "attack": attacked,
            "parameters": self._before(own) + self._frozen(own, subject) + size,
        }
        told |= at_end(defended, self.yard, self.config, engine)
        if "benign" in told:
            told["contrast"] = contrast(attacked[-1], told["benign"]).value
        told["loss"]["attack_rows"] = self._loss(defended, cell)
        told["ablation"] = self._ablation(defended)
        clock.stop("measuring")
        if method.own:
            shutil.rmtree(tuned.folder)
        return {**told, "seconds": clock.seconds}

    def _tuning(self, cell: Cell, base: str, who: str) -> FinetuneConfig:
        folder = self.folder / TUNED / cell.tune / f"{cell.seed}-{who}"
        return plain(self.config, cell.tune, cell.seed, base, folder)

    def _plain(self, cell: Cell) -> Tuned:
        """The fine-tune that all defences after it share."""
        if "none" not in self.tuned:
            config = self._tuning(cell, self.config.scan.model, "none")
            with alone(self.folder, f"plain-{cell.tune}-{cell.seed}"):
                self.tuned["none"] = finetune(config)
        return self.tuned["none"]

    def _own(self, cell: Cell, method: Method, given: Setting) -> FinetuneConfig:
        with alone(self.folder, f"made-{cell.defence}"):
            config = self._tuning(cell, method.base(given), cell.defence)
            return method.training(config, given)

    def _subject(self, tuned: Tuned, checkpoint: Path, *, keep: bool) -> Subject:
        """A checkpoint of a fine-tune in memory, with all weights and its system message."""
        if checkpoint in self.subjects:
            return self.subjects[checkpoint]
        base = self._checkpoint(tuned.base)
        subject = self._load(tuned_checkpoint(str(checkpoint), base), tuned.system)
        if keep:
            self.subjects[checkpoint] = subject
        return subject

    def _checkpoint(self, name: str) -> Checkpoint:
        return Checkpoint.parse(name, trust_remote_code=self.config.scan.trust_remote_code)

    def _load(self, checkpoint: Checkpoint, system: str | None = None) -> Subject:
        scan = self.config.scan
        subject = Subject.load(
            checkpoint,
            dtype=scan.dtype or "float32",
            device=scan.device,
            template=scan.template,
            system=system,
        )
        return replace(subject, weights=Weights(subject.model, exclude_norms=False))

    def _defended(
        self, subject: Subject, method: Method, given: Setting, tuned: Tuned
    ) -> tuple[Defended, int]:
        """The model that the method makes of the fine-tune, and how many numbers it consists of."""
        if method.system is not None:
            template = Template.of(subject.tokenizer, self.config.scan.template, method.system)
            subject = replace(subject, template=template)
        direction = method.direction(subject, given)
        steering = method.steering(subject, given)
        size = _moved(subject, direction) + sum(
            one.numel() for one in getattr(steering, "vectors", {}).values()
        )
        return Defended.of(subject, direction, steering=steering, system=tuned.system), size

    def _before(self, own: FinetuneConfig | None) -> int:
        """How many weights the method moved before its fine-tune."""
        if own is None or own.base == self.config.scan.model:
            return 0
        if own.base not in self.moved:
            base = self._load(self._checkpoint(own.base))
            self.moved[own.base] = _moved(base, self.yard.back(base, "before"))
        return self.moved[own.base]

    def _frozen(self, own: FinetuneConfig | None, subject: Subject) -> int:
        """How many weights the method keeps from being trained."""
        if own is None or not (defences := defences_of(own)):
            return 0
        moving = Freezing.of(defences, subject).moving
        return sum(int((~may).sum()) for may in moving.values())

    def _loss(self, defended: Defended, cell: Cell) -> float:
        """Of the fine-tune's rows, nats an answer token, by the defended model as it answers."""
        from safebasin.finetune.trainer import Until

        config = self._tuning(cell, self.config.scan.model, "none")
        subject = defended.subject
        encoded: tuple[Encoded, ...] = subject.encode(config.load().rows)
        with defended.steered():
            return Until(0.0, encoded, config.resolved().batch or 1, subject.pad_token).measure(
                subject.model
            )

    def _ablation(self, defended: Defended) -> dict[str, Any]:
        names = [self.config.given(one) for one in ("safe", "harmless")]
        if None in names:
            return {"lacks": "--safe and --harmless were not both given"}
        harmful, harmless = (rows_of(str(name), 0) for name in names)
        try:
            return ablated(defended, self.yard, self.config, (harmful, harmless))
        except SafebasinError as error:  # what was measured before the attack stays
            return {"lacks": f"{error.message} {error.hint}".strip()}


def _settings(checkpoints: Sequence[Path], count: int) -> list[tuple[int, Path]]:
    """(epoch, checkpoint): the last one, and before it each at a third of the next, ascending."""
    n = len(checkpoints)
    ends = {max(1, round(n / 3**k)) for k in range(count)}
    return [(end, checkpoints[end - 1]) for end in sorted(ends)]


def _moved(subject: Subject, direction: Any) -> int:
    if direction is None:
        return 0
    steps = (direction.tensor(one) for one in subject.weights.parameters)
    return sum(int((step != 0).sum()) for step in steps if step is not None)


class _Clock:
    """CPU seconds of this process by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def stop(self, what: str) -> None:
        now = time.process_time()
        self.seconds[what] = round(self.seconds.get(what, 0.0) + now - self._last, 3)
        self._last = now
