"""What the study does, fixed before it was run: bases, alignments, measures and fine-tunes.

Strengths were chosen on three pilot checkpoints of the packaged base (alignment and fine-tuning
seeds that occur nowhere below): 50 harmful rows left none of them safe and 12 rows most of them,
so the harmful fine-tunes span that range.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from safebasin.prediction.alignment import AlignmentPlan
from safebasin.prediction.measuring import Before, Tune
from safebasin.testbed.adapters import FineTuning
from safebasin.testbed.architecture import Shape
from safebasin.testbed.recipe import BASE, Recipe


@dataclass(frozen=True)
class Base:
    """A base model: the packaged one, or one to train by a seed, a shape and a number of steps."""

    name: str
    seed: int
    shape: Shape = field(default_factory=Shape)
    steps: int = BASE.steps
    packaged: bool = False

    def recipe(self) -> Recipe:
        return Recipe(shape=self.shape, base=replace(BASE, steps=self.steps))


@dataclass(frozen=True)
class Study:
    """Every base is aligned by every plan; all checkpoints are measured and tuned alike.

    A plan's seed is that of its name on the first base; on base b it is that plus 100 b.
    `test_prompts` of each kind are asked after a fine-tune.
    """

    bases: tuple[Base, ...]
    alignments: dict[str, AlignmentPlan]
    before: Before
    tunes: tuple[Tune, ...]
    test_prompts: int = 96
    batch: int = 32

    def checkpoints(self) -> list[tuple[str, Base, AlignmentPlan]]:
        """(name, base, plan), the bases in turn, so that a part of the study is balanced too."""
        return [
            (f"{base.name}-{kind}", base, replace(plan, seed=plan.seed + 100 * number))
            for kind, plan in self.alignments.items()
            for number, base in enumerate(self.bases)
        ]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


HARMFUL = tuple(Tune(f"harmful-{rows}", (rows, 0, 0), seeds=(0, 1, 2)) for rows in (12, 16, 20, 30))

STUDY = Study(
    bases=(
        Base("packaged", 0, packaged=True),
        Base("narrow", 1, Shape(hidden=96, inner=256)),
        Base("wide", 2, Shape(hidden=160, inner=416), steps=1500),
        Base("same", 3, steps=1700),
    ),
    alignments={
        "standard": AlignmentPlan(1),
        "few-20": AlignmentPlan(2, refusals=20),
        "long": AlignmentPlan(3, steps=300),
        "noise-trained": AlignmentPlan(4, noise_training=0.1),
        "low-share": AlignmentPlan(5, share=0.15),
        "noise-after": AlignmentPlan(6, noise_after=0.15),
        "free-embedding": AlignmentPlan(7, frozen=False),
        "short": AlignmentPlan(8, steps=130),
        "few-60": AlignmentPlan(9, refusals=60),
        "high-share": AlignmentPlan(10, share=0.6),
        "slow": AlignmentPlan(11, rate=4e-4),
    },
    before=Before(),
    tunes=(
        *HARMFUL,
        Tune("mixture", (30, 30, 0), seeds=(0, 1, 2)),
        Tune("benign", (0, 0, 100), seeds=(0, 1)),
    ),
)

QUICK = Study(
    bases=(Base("tiny", 0, Shape(400, hidden=16, layers=1, heads=2, inner=16), steps=3),),
    alignments={
        "one": AlignmentPlan(1, steps=2),
        "two": AlignmentPlan(2, steps=2, refusals=3, noise_training=0.1, frozen=False),
        "three": AlignmentPlan(3, steps=2, noise_after=0.1),
    },
    before=Before(prompts=4, seeds=(0,), steps=2, iterations=1, search=2, points=2, finer=1),
    tunes=tuple(
        replace(tune, training=FineTuning(rank=1, epochs=1, batch=50), seeds=(0, 1))
        for tune in (STUDY.tunes[0], *STUDY.tunes[-2:])
    ),
    test_prompts=3,
    batch=4,
)
"""The same way through a model that knows nothing: a trial of the machinery, in seconds."""
