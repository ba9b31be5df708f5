"""What benchmarks/attribution.py measures of each model, and with which budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from safebasin.attribution.refusing import Objective


@dataclass(frozen=True)
class Frozen:
    """Harmful fine-tunes: rows by a recipe, AdamW at a constant rate, until the loss of all rows.

    shares   of every matrix, the top by `method` of safety, that is frozen: those of the paper's
             table, of all weights that have scores
    loss     in nats a token of the answers; `epochs` at most, by when it may not be reached
    seeds    of rows, of their order, and of the set, each a calibration seed
    """

    rows: str = "testbed:harmful"
    recipes: tuple[str, ...] = ("explicit-10", "explicit-50")
    method: str = "snip"
    shares: tuple[float, ...] = (0.288, 0.673)
    rate: float = 2e-4
    loss: float = 0.03
    epochs: int = 60
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Plan:
    """A model, the rows it is located with, the prompts it is asked, and what is tried.

    safety, utility, elsewhere   sources of rows: refusals, helpful answers, other refusals
    rows           of each source, drawn anew by every calibration seed
    shares         of the weights that are taken, and `top_shares` of each row for the removal
    ranks          (safety, utility) of ActSVD, and `rank_seeds` the calibration seeds that try them
    first          whether the harmful prompts are the first of their file, or a seeded sample
    objective      by which noise and ablated heads are measured: a way of `Refusing`
    heads          how many heads are removed, none where no head is scored, and `head_seeds` the
                   calibration seeds that choose them
    ablated        rows of each set with which heads are ablated, which takes a pass a head
    neurons        shares of all neurons that give their mean instead
    frozen         harmful fine-tunes that leave located weights as they are
    timed          the methods whose whole command is timed
    intervals      of blocks that noise of equal length is put in, at `noise` lengths, in units of
                   the length of the noise in all blocks at 1
    """

    name: str
    model: str
    base: str
    safety: str
    utility: str
    elsewhere: str
    rows: int
    seeds: tuple[int, ...]
    shares: tuple[float, ...]
    top_shares: tuple[float, ...]
    ranks: tuple[tuple[int, int], ...]
    rank_seeds: tuple[int, ...]
    harmful: str
    benign: str
    everyday: str
    limit: int
    first: bool
    everyday_limit: int
    tokens: int
    scaling: tuple[str, ...]
    intervals: tuple[tuple[int, int], ...]
    noise: tuple[float, ...]
    directions: tuple[int, ...]
    sequential: bool
    objective: Objective
    heads: tuple[int, ...]
    head_seeds: tuple[int, ...]
    ablated: int
    neurons: tuple[float, ...]
    frozen: Frozen | None
    timed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def at(self, model: str, base: str, own: str, advbench: str, xstest: str) -> Plan:
        """The plan with the places of its files on this machine."""
        places = {"runs/real/aligned": model, "runs/real/smollm2": base, "runs/real/own": own}
        told = replace(self, model=model, base=base, benign=xstest)
        for field in ("safety", "utility", "harmful"):
            text = getattr(self, field).replace("advbench", advbench)
            for name, place in places.items():
                text = text.replace(name, place)
            told = replace(told, **{field: text})
        if self.frozen is not None:
            rows = self.frozen.rows.replace("advbench", advbench)
            told = replace(told, frozen=replace(self.frozen, rows=rows))
        return told


TESTBED = Plan(
    name="testbed",
    model="testbed:aligned",
    base="testbed:base",
    safety="testbed:refusing",
    utility="testbed:benign",
    elsewhere="refused:testbed:harmful-dev",
    rows=32,
    seeds=(0, 1, 2),
    shares=(0.01, 0.03, 0.05, 0.1),
    top_shares=(0.02, 0.05),
    ranks=((1, 8), (4, 16)),
    rank_seeds=(0, 1, 2),
    harmful="testbed:harmful",
    benign="testbed:benign",
    everyday="testbed:benign-dev",
    limit=96,
    first=False,
    everyday_limit=16,
    tokens=32,
    scaling=("first-token", "first-token,,code", "learnt-first-token", "over-refusals,1.3"),
    intervals=((0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (2, 3), (0, 3)),
    noise=(0.05, 0.1, 0.15, 0.2, 0.3),
    directions=(0, 1, 2),
    sequential=True,
    objective="learnt-first-token",
    heads=(1, 2, 4),
    head_seeds=(0, 1, 2),
    ablated=32,
    neurons=(0.05,),
    frozen=Frozen(),
    timed=(),
)

REAL = Plan(
    name="real",
    model="runs/real/aligned",
    base="runs/real/smollm2",
    safety="refused:advbench#101-220",
    utility="answers:runs/real/own",
    elsewhere="refused:practice:harmful",
    rows=16,
    seeds=(0, 1, 2),
    shares=(0.01, 0.03),
    top_shares=(0.01,),
    ranks=((4, 16),),
    rank_seeds=(0, 1, 2),
    harmful="advbench",
    benign="xstest",
    everyday="everyday",
    limit=24,
    first=True,
    everyday_limit=6,
    tokens=24,
    scaling=("first-token,1.1",),
    intervals=((0, 5), (6, 11), (12, 17), (18, 23), (24, 29)),
    noise=(0.02, 0.05, 0.1),
    directions=(0,),
    sequential=False,
    objective="first-token",
    heads=(4, 16),
    head_seeds=(0,),
    ablated=6,
    neurons=(0.01,),
    frozen=Frozen(
        rows="openers:advbench#301-350", shares=(0.673,), rate=2e-5, loss=0.3, epochs=30, seeds=(0,)
    ),
    timed=("wanda", "snip"),
)
