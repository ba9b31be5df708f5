"""The methods by name: controls, defences after, in and before a fine-tune."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any, cast

from safebasin.attribution.masks import top
from safebasin.attribution.random import random_like
from safebasin.attribution.snip import Snip
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.merging import merge
from safebasin.conditions.system_prompts import SYSTEM_PROMPTS
from safebasin.defence_bench.base import Method, Setting
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.steered import Steered
from safebasin.defences.base import WeightDefence
from safebasin.defences.derta import Derta
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.kinds import DEFENCES
from safebasin.defences.making import defend
from safebasin.defences.settings import DefendConfig
from safebasin.defences.sppft import Sppft
from safebasin.errors import UsageError
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import finetune
from safebasin.subject.row_sources import rows_of
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject
from safebasin.terminal import printable, shorten
from safebasin.weights import Direction

GROUP = "safebasin.defences"
"""The entry point of other packages: name -> a `Method` class, made without arguments."""

INTERVAL = re.compile(rf"{Sppft.kind}-(\d+-\d+)")
"""The name of blocks that are frozen, any first and last one."""

FROZEN_SHARE = 0.1
"""Of each matrix: the weights that safety needs most, less those that other answers need most."""
FULL_RATE = 0.1
"""By what the rate of LoRA is multiplied where all weights are tuned in its place."""
DERTA_ROWS = 100
DERTA_SEED = 1000
"""The rows that DeRTa learns from are drawn by another seed than those of any fine-tune."""


class Undefended(Method):
    """The fine-tune as it is, bit for bit."""

    name, reference = "none", "what every defence is held against"


class SystemPrompt(Method):
    """A message that asks the model to refuse harm, in every request."""

    name, reference = "system-prompt", "a control: what a sentence does"
    system = SYSTEM_PROMPTS["safety"]


class AfterTuning(Method):
    """A defence of weights, by the settings that its class has of itself, and those named here.

    What the class takes that the bench has a setting for is given: the models, the preferences.
    """

    def __init__(self, kind: str, **settings: Any) -> None:
        self.name, self.reference = kind, DEFENCES[kind].reference
        self.settings = settings
        self._make = cast(Callable[..., WeightDefence], DEFENCES[kind])
        taken = inspect.signature(self._make).parameters
        self._asked = [one for one in ("unaligned", "preferences") if one in taken]
        self.needs = tuple(self._asked)

    def direction(self, subject: Subject, given: Setting) -> Direction:
        own = self.settings | {one: given.config.need(one) for one in self._asked}
        if "aligned" in inspect.signature(self._make).parameters:
            own["aligned"] = given.config.scan.model
        return self._make(**own).direction(subject)


class Lox(Method):
    """The aligned model further along what alignment changed, and then the fine-tune."""

    name, reference, needs, own = "lox", DEFENCES["lox"].reference, ("unaligned",), True

    def base(self, given: Setting) -> str:
        folder = given.folder / self.name
        config, scan = given.config, given.config.scan
        defend(
            DefendConfig(
                "lox", scan.model, unaligned=config.need("unaligned"), scan=scan, out=str(folder)
            )
        )
        return str(folder)


class DertaBefore(Method):
    """The aligned model taught to turn back at any place of an answer, and then the fine-tune."""

    name, reference, own = "derta", Derta.reference, True
    needs = ("data", "harmless", "refusals", "refusal_word")

    def base(self, given: Setting) -> str:
        config, scan, folder = given.config, given.config.scan, given.folder / self.name
        if not (folder / "config.json").exists():
            tuned = finetune(
                FinetuneConfig(
                    scan.model, "derta", config.need("data"), safe=config.need("harmless"),
                    ratio=1.0, rows=min(DERTA_ROWS, len(rows_of(config.need("data"), DERTA_SEED))),
                    lora=True, rank=config.rank, rate=1e-3, batch=10, epochs=3,
                    refusals=config.need("refusals"), refusal_word=config.need("refusal_word"),
                    template=scan.template, device=scan.device, seed=DERTA_SEED,
                    trust_remote_code=scan.trust_remote_code, out=str(given.folder / "derta-tuned"),
                )
            )  # fmt: skip
            merge(Checkpoint(scan.model, str(tuned.final)), folder)
        return str(folder)


class SafeRows(Method):
    """As many rows that refuse mixed into the fine-tune's own: the audit's own defence."""

    name, needs, own = "mixture", ("safe",), True
    reference = "Peng et al., NeurIPS 2024, arXiv 2405.17374, Sec. 4"

    def training(self, plain: FinetuneConfig, given: Setting) -> FinetuneConfig:
        return replace(plain, safe=given.config.need("safe"), ratio=max(plain.safe_ratio, 1.0))


class FrozenBlocks(Method):
    """Blocks that stay as they are, at the training loss of the plain fine-tune.

    sppft freezes an interval in the middle; `first` and `last` are its controls, as many blocks at
    the beginning and at the end, and so is any other interval, as `sppft-2-5`.
    """

    own = True

    def __init__(self, place: str = "") -> None:
        self.place = place
        self.name = f"sppft-{place}" if place else Sppft.kind
        self.reference = f"the control of {Sppft.kind}" if place else Sppft.reference

    def training(self, plain: FinetuneConfig, given: Setting) -> FinetuneConfig:
        return at_that_loss(replace(plain, freeze_blocks=self._blocks(given)), given)

    def _blocks(self, given: Setting) -> str:
        depth = len(blocks_of(_aligned(given)))
        asked = given.config.blocks or f"{depth // 4}-{depth // 4 + max(1, depth // 2) - 1}"
        first, _, last = asked.partition("-")
        if not self.place:
            return asked
        if self.place not in ("first", "last"):
            return self.place
        if not (first.isdigit() and (last or first).isdigit()):
            raise UsageError(
                f"The blocks '{shorten(printable(asked))}' are no interval.", "Give one, as 2-5."
            )
        count = int(last or first) - int(first) + 1
        return f"0-{count - 1}" if self.place == "first" else f"{depth - count}-{depth - 1}"


class FrozenSingly(Method):
    """All weights tuned but those of a mask, to the training loss of the plain fine-tune.

    `random` is the control: as many weights of every matrix, drawn.
    """

    own = True
    needs = ("safe", "harmless")

    def __init__(self, *, random: bool = False) -> None:
        self.random = random
        self.name = "frozen-random" if random else FrozenWeights.kind
        self.reference = f"the control of {FrozenWeights.kind}" if random else (
            FrozenWeights.reference
        )  # fmt: skip

    def training(self, plain: FinetuneConfig, given: Setting) -> FinetuneConfig:
        path = given.folder / f"{self.name}.safetensors"
        if not path.exists():
            subject = _aligned(given)
            safety, utility = (rows_of(given.config.need(one), 0) for one in ("safe", "harmless"))
            snip = Snip()
            ours = top(snip.locate(subject, safety, utility), FROZEN_SHARE)
            theirs = top(snip.locate(subject, utility, safety), FROZEN_SHARE)
            mask = ours - theirs
            (random_like(mask) if self.random else mask).save(path)
        rate = plain.resolved().rate or 0.0
        slower = rate if given.config.full else rate * FULL_RATE
        whole = replace(plain, freeze_mask=str(path), lora=False, rate=slower)
        return at_that_loss(whole, given)


def at_that_loss(config: FinetuneConfig, given: Setting) -> FinetuneConfig:
    """The training until it has learnt its rows as well as the plain fine-tune had."""
    epochs = given.epochs * given.config.matched
    return replace(config, until_loss=given.loss, epochs=epochs)


def _aligned(given: Setting) -> Subject:
    scan = given.config.scan
    return Subject.load(
        Checkpoint.parse(scan.model, trust_remote_code=scan.trust_remote_code),
        device=scan.device,
        template=scan.template,
    )


def _ours() -> list[Method]:
    drawn = map(AfterTuning, ("random-restoration", "random-perturbation"))
    merged = map(AfterTuning, ("safe-lora", "safe-merge", "resta"))
    return [
        *(Undefended(), SystemPrompt(), SafeRows()),
        *drawn,
        *merged,
        AfterTuning("somf", epochs=1, rate=0.1),
        *(Lox(), DertaBefore()),
        *map(FrozenBlocks, ("", "first", "last")),
        *(FrozenSingly(), FrozenSingly(random=True)),
        *map(Steered, ("", "random", "opposite")),
    ]


def methods() -> dict[str, Method]:
    """Every method by its name: ours, then those of other packages."""
    found = {one.name: one for one in _ours()}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        if entry.name in found:
            continue
        try:
            made = entry.load()()
        except Exception as error:  # whatever another package does
            raise UsageError(
                f"The defence '{printable(entry.name)}' of another package cannot be made: "
                f"{type(error).__name__} {shorten(printable(str(error)), 200)}.",
                f"Repair or remove the package that gives it to the entry point {GROUP}.",
            ) from error
        made.name = entry.name
        found[entry.name] = made
    return found


def intervals(names: Sequence[str]) -> list[str]:
    """The blocks that names such as `sppft-2-5` freeze."""
    return [found[1] for name in names if (found := INTERVAL.fullmatch(name))]


def methods_named(names: Sequence[str], config: BenchConfig) -> dict[str, Method]:
    """The methods of the names; of `all`, those that what is given is enough for.

    `none` is always among them and comes first. Raises UsageError for a name nobody has, and for a
    setting that one lacks.
    """
    known = methods()
    if tuple(names) == ("all",):
        return {
            name: one
            for name, one in known.items()
            if all(config.given(need) is not None for need in one.needs)
        }
    for name in names:
        if interval := INTERVAL.fullmatch(name):
            known.setdefault(name, FrozenBlocks(interval[1]))
        if name not in known:
            raise UsageError(
                f"There is no defence '{shorten(printable(name))}' in the bench.",
                f"Give some of {', '.join(known)}, sppft-FIRST-LAST, or all.",
            )
        for need in known[name].needs:
            config.need(need)
    return {name: known[name] for name in dict.fromkeys((Undefended.name, *names))}
