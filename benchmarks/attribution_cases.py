"""The cases of benchmarks/attribution.py: each is measured once and kept on a line of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from random import Random as Draw
from typing import Any

import numpy as np
from attribution_commands import commands
from attribution_frozen import frozen
from attribution_heads import heads
from attribution_layers import gaps, noise, openers, scaling
from attribution_neurons import neurons
from attribution_plan import Plan

from safebasin import prompts as prompt_sets
from safebasin.attribution.actsvd import ActSvd, sequential
from safebasin.attribution.base import HeldScores
from safebasin.attribution.found import by_kind
from safebasin.attribution.masks import jaccard, top
from safebasin.attribution.random import random_like
from safebasin.attribution.ranks import isolated, random_subspace_like, removed, similarity
from safebasin.attribution.snip import Snip
from safebasin.attribution.wanda import Wanda
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.merging import MERGE
from safebasin.compare.divergence import PromptDivergence, divergences
from safebasin.directions import Direction, Pruned
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.exchange import Exchange
from safebasin.judges import OutcomeJudge, build
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.subject.row_sources import rows_of
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from safebasin.weights.subspaces import HeldSubspace

METHODS: dict[str, Callable[[], Any]] = {"snip": Snip, "wanda": Wanda}
CHANGED = "changed"
"""The name of the direction that is measured, at 1."""
LETTERS = {"refused": "r", "complied": "c", "incoherent": "i", None: "?"}


class Laboratory:
    """A model, what was measured of it so far, and the rest to measure."""

    def __init__(self, plan: Plan, file: Path) -> None:
        self.plan, self.file = plan, file
        self.known: dict[str, dict[str, Any]] = {}
        if file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.known[row.pop("case")] = row
        self._scores: dict[tuple[str, str, int], HeldScores] = {}
        self._tops: dict[tuple[str, str, int], Mask] = {}
        self._spaces: dict[tuple[str, int], HeldSubspace] = {}

    def run(self) -> Iterator[str]:
        """Measure what is missing, case by case, what matters most first."""
        first, *others = self.plan.seeds
        yield from self._measured()
        yield from self.case("origin", lambda: self.effect(None))
        yield from gaps(self)
        yield from self._weights(first)
        yield from openers(self)
        yield from noise(self)
        yield from scaling(self)
        yield from heads(self)
        yield from neurons(self)
        yield from frozen(self)
        yield from self._weight_overlaps((first,))
        for seed in self.plan.rank_seeds:
            yield from self._ranks(seed)
        yield from self._rank_overlaps()
        for seed in others:
            yield from self._weights(seed)
        yield from self._weight_overlaps(self.plan.seeds)
        yield from commands(self)

    def _measured(self) -> Iterator[str]:
        """Which model it is; SystemExit where the work was done with another."""
        checkpoint = Checkpoint.parse(self.plan.model)
        merge = Path(self.plan.model, MERGE)
        told: dict[str, Any] = {"fingerprint": checkpoint.fingerprint()}
        if merge.is_file():
            record = json.loads(merge.read_text(encoding="utf-8"))
            told["adapter"] = record["adapter"]["sha256"]
        yield from self.case("measured", lambda: told)
        if self.known["measured"]["fingerprint"] != told["fingerprint"]:
            raise SystemExit(f"{self.file} is of another model. Give another --work.")

    def case(self, name: str, measure: Callable[[], dict[str, Any]]) -> Iterator[str]:
        if name in self.known:
            return
        began = time.process_time()
        found = measure()
        # What is stored is what JSON gives back, so a resumed study and a whole one are alike.
        text = json.dumps({"case": name, **found, "cpu": round(time.process_time() - began, 2)})
        with self.file.open("a", encoding="utf-8") as out:
            out.write(f"{text}\n")
        row = json.loads(text)
        self.known[row.pop("case")] = row
        print(name, row["cpu"], flush=True)
        yield name

    @cached_property
    def subject(self) -> Subject:
        return Subject.load(self.plan.model, device="cpu")

    @cached_property
    def engine(self) -> FastEngine:
        one = self.subject
        return FastEngine(one.model, one.weights, {CHANGED: Pruned(Mask({}), one.weights)},
                          one.template)  # fmt: skip

    def prompts(self, spec: str, kind: str, limit: int, first: bool = False) -> tuple[Prompt, ...]:
        found = prompt_sets.load(spec)
        own = replace(found, prompts=tuple(p for p in found.prompts if p.kind == kind))
        return own.take(limit, 0, first=first).prompts

    @cached_property
    def asked(self) -> dict[str, tuple[Prompt, ...]]:
        plan = self.plan
        return {
            "harmful": self.prompts(plan.harmful, "harmful", plan.limit, plan.first),
            "benign": self.prompts(plan.benign, "benign", plan.limit),
        }

    @cached_property
    def everyday(self) -> tuple[Prompt, ...]:
        return self.prompts(self.plan.everyday, "benign", self.plan.everyday_limit)

    def answers(self, point: Point, engine: FastEngine | None = None) -> dict[str, list[Exchange]]:
        """The answers to both sets at a point, in one batch; of another model by its engine."""
        every = [prompt for one in self.asked.values() for prompt in one]
        renamed = [replace(prompt, id=str(i)) for i, prompt in enumerate(every)]
        asked = engine or self.engine
        [(_, found)] = asked.answers([point], renamed, Sampling(self.plan.tokens))
        rest = iter(found)
        return {name: [next(rest) for _ in own] for name, own in self.asked.items()}

    @cached_property
    def judge(self) -> OutcomeJudge:
        """`outcome`, on the scale of the model's own answers to everyday questions."""
        sampling = Sampling(self.plan.tokens)
        [(_, own)] = self.engine.answers([Point()], self.everyday, sampling)
        return OutcomeJudge().against([*own, *self.answers(Point())["benign"]])

    def effect(self, direction: Direction | None) -> dict[str, Any]:
        """A letter a prompt of each set, keyword hits, and KL on everyday prompts in nats."""
        judge = self.judge  # before anything is displaced
        point = Point()
        if direction is not None:
            self.engine.directions[CHANGED] = direction
            point = Point.of({CHANGED: 1.0})
        told = self.judged(self.answers(point), judge)
        if direction is None:
            return told
        each: list[PromptDivergence] = []
        sampling = Sampling(self.plan.tokens)
        divergences(self.engine.plain, point, self.everyday, sampling, each.extend)
        told["kl"] = [None if one.mean is None else round(one.mean, 5) for one in each]
        return told

    def judged(self, found: dict[str, list[Exchange]], judge: OutcomeJudge) -> dict[str, Any]:
        """A letter a prompt of each set, and keyword hits of the harmful one."""
        told = {
            name: "".join(LETTERS[one.outcome] for one in judge.judge(own))
            for name, own in found.items()
        }
        keywords = build("llm-landscape").judge(found["harmful"])
        return {
            **told,
            "keywords": "".join("r" if one.outcome == "refused" else "c" for one in keywords),
        }

    def whole(self, source: str) -> Rows:
        """All rows of a source of the plan."""
        return rows_of(getattr(self.plan, source), 0)

    def rows(self, source: str, seed: int) -> Rows:
        """Rows of a source drawn by a calibration seed, without repetition."""
        whole = self.whole(source)
        drawn = Draw(f"calibration {seed} {source}").sample(whole.rows, self.plan.rows)
        return Rows(f"{source} {seed}", tuple(drawn))

    def scores(self, method: str, source: str, seed: int) -> HeldScores:
        key = (method, source, seed)
        if key not in self._scores:
            began = time.process_time()
            self._scores[key] = METHODS[method]().locate(self.subject, self.rows(source, seed))
            took = round(time.process_time() - began, 1)
            print("scores", *key, took, flush=True)
            if source == "safety" and seed == self.plan.seeds[0]:
                for _ in self.case(f"seconds/{method}", lambda: {"seconds": took}):
                    pass
        return self._scores[key]

    def top_of(self, method: str, source: str, seed: int) -> Mask:
        """The top of every matrix at the largest share, kept when the scores are not."""
        key = (method, source, seed)
        if key not in self._tops:
            self._tops[key] = top(self.scores(*key), self.plan.shares[-1])
            if source not in ("safety", "utility"):
                self._scores.pop(key)
        return self._tops[key]

    def _weights(self, seed: int) -> Iterator[str]:
        """Without the weights of each set; the scores of the seed are then let go."""
        yield from self._removals(seed)
        for key in list(self._scores):
            self.top_of(*key)
        self._scores.clear()

    def _removals(self, seed: int) -> Iterator[str]:
        weights = self.subject.weights
        for method in METHODS:

            def sets(share: float, by: Any, method: str = method) -> tuple[Mask, Mask]:
                one, two = (
                    top(self.scores(method, source, seed), share, by)
                    for source in ("safety", "utility")
                )
                return one, two

            def pruned(mask: Mask) -> dict[str, Any]:
                counts = {"taken": mask.count, "of": mask.numel}
                return {**counts, **self.effect(Pruned(mask, weights))}

            for share in self.plan.shares:
                name = f"{method}/{share:g}/{seed}"

                def alone(share: float = share) -> Mask:
                    one, two = sets(share, "tensor")
                    return one - two

                def reverse(share: float = share) -> Mask:
                    one, two = sets(share, "tensor")
                    return two - one

                yield from self.case(f"difference/{name}", lambda a=alone: pruned(a()))
                yield from self.case(
                    f"random/{name}", lambda a=alone: pruned(random_like(a(), seed))
                )
                yield from self.case(f"reverse/{name}", lambda r=reverse: pruned(r()))
            for share in self.plan.top_shares:
                name = f"{method}/{share:g}/{seed}"

                def highest(share: float = share) -> Mask:
                    return sets(share, "row")[0]

                yield from self.case(f"top/{name}", lambda h=highest: pruned(h()))
                yield from self.case(
                    f"top-random/{name}", lambda h=highest: pruned(random_like(h(), seed))
                )

    def _weight_overlaps(self, seeds: tuple[int, ...]) -> Iterator[str]:
        share = self.plan.shares[-1]

        def of(one: tuple[str, str, int], two: tuple[str, str, int]) -> dict[str, Any]:
            a, b = self.top_of(*one), self.top_of(*two)
            attention, mlp = (
                [name for name in a.tensors if part in name] for part in ("attn", "mlp")
            )
            parts = {
                part: jaccard(*(Mask({n: m.tensors[n] for n in names}) for m in (a, b)))
                for part, names in (("attention", attention), ("mlp", mlp))
            }
            return {"share": share, "jaccard": jaccard(a, b), **parts}

        pairs = [(s, t) for i, s in enumerate(seeds) for t in seeds[i + 1 :]]
        wanted = {
            **{
                f"seeds/{method}/{s}-{t}": ((method, "safety", s), (method, "safety", t))
                for method in METHODS
                for s, t in pairs
            },
            **{f"methods/{s}": (("snip", "safety", s), ("wanda", "safety", s)) for s in seeds},
            **{
                f"utility/{method}/{s}": ((method, "safety", s), (method, "utility", s))
                for method in METHODS
                for s in seeds
            },
            **{
                f"sets/{method}/{s}": ((method, "safety", s), (method, "elsewhere", s))
                for method in METHODS
                for s in seeds[: len(self.plan.rank_seeds)]
            },
        }
        for name, (one, two) in wanted.items():
            yield from self.case(f"overlap/{name}", lambda a=one, b=two: of(a, b))
        for method in METHODS:
            yield from self.case(f"shares/{method}", lambda m=method: self._shares(m))
        self._scores.clear()

    def _shares(self, method: str) -> dict[str, Any]:
        """How much of each matrix is in the set of safety without utility, of the first seed."""
        share, seed = self.plan.shares[-1], self.plan.seeds[0]
        one, two = (self.top_of(method, source, seed) for source in ("safety", "utility"))
        each = {name: int(m.sum()) / m.numel() for name, m in (one - two).tensors.items()}
        shares = by_kind([layer.parameter for layer in self.subject.linear], each)
        return {"share": share, "shares": shares}

    def space(self, source: str, rank: int, seed: int) -> HeldSubspace:
        """The first of the largest rank's directions, which are those of this rank."""
        key = (source, seed)
        if key not in self._spaces:
            most = max(one for pair in self.plan.ranks for one in pair)
            self._spaces[key] = ActSvd(most).locate(self.subject, self.rows(source, seed))
        whole = self._spaces[key]
        cut = {name: basis[..., :rank].contiguous() for name, basis in whole.bases.items()}
        return HeldSubspace(f"actsvd-{rank}-{source}-{seed}", "output", cut)

    def _ranks(self, seed: int) -> Iterator[str]:
        weights, space = self.subject.weights, self.space
        for of_safety, of_utility in self.plan.ranks:
            name = f"actsvd/{of_safety}-{of_utility}/{seed}"

            def alone(s: int = of_safety, u: int = of_utility) -> tuple[Any, Any]:
                return space("safety", s, seed), space("utility", u, seed)

            def turned(s: int = of_safety, u: int = of_utility) -> tuple[Any, Any]:
                return space("utility", s, seed), space("safety", u, seed)

            def drawn(s: int = of_safety, u: int = of_utility) -> tuple[Any, Any]:
                safety, utility = alone(s, u)
                return random_subspace_like(safety, seed), utility

            for kind, pair in (("difference", alone), ("reverse", turned), ("random", drawn)):
                yield from self.case(
                    f"{kind}/{name}", lambda p=pair: self.effect(isolated(*p(), weights))
                )
            if self.plan.sequential:
                yield from self.case(
                    f"sequential/{name}",
                    lambda s=of_safety, u=of_utility: self._sequential(s, u, seed),
                )
        rank = self.plan.ranks[0][0]
        name = f"actsvd/{rank}/{seed}"
        yield from self.case(
            f"top/{name}", lambda: self.effect(removed(space("safety", rank, seed), weights))
        )
        yield from self.case(
            f"top-random/{name}",
            lambda: self.effect(
                removed(random_subspace_like(space("safety", rank, seed), seed), weights)
            ),
        )

    def _sequential(self, of_safety: int, of_utility: int, seed: int) -> dict[str, Any]:
        """Safety without utility where each block sees the model that is changed before it."""
        weights = self.subject.weights

        def change(safety: HeldSubspace, utility: HeldSubspace) -> Direction:
            return isolated(safety, utility, weights)

        methods = [ActSvd(of_safety), ActSvd(of_utility)]
        rows = [self.rows(source, seed) for source in ("safety", "utility")]
        one, two = sequential(self.subject, methods, rows, change)
        shared = _mean(similarity(one, self.space("safety", of_safety, seed)))
        return {"similarity": shared, **self.effect(isolated(one, two, weights))}

    def _rank_overlaps(self) -> Iterator[str]:
        rank, seeds = self.plan.ranks[0][1], self.plan.rank_seeds

        def of(one: tuple[str, int], two: tuple[str, int]) -> dict[str, Any]:
            a, b = (self.space(source, rank, seed) for source, seed in (one, two))
            own = similarity(a, b)
            chance = [rank / basis.shape[-2] for basis in a.bases.values()]
            parts = {
                part: _mean({n: v for n, v in own.items() if key in n})
                for part, key in (("attention", "attn"), ("mlp", "mlp"))
            }
            both = {"similarity": _mean(own), "chance": float(np.mean(chance))}
            return {"rank": rank, **both, **parts}

        wanted = {
            **{
                f"seeds/actsvd/{s}-{t}": (("safety", s), ("safety", t))
                for i, s in enumerate(seeds)
                for t in seeds[i + 1 :]
            },
            **{f"utility/actsvd/{s}": (("safety", s), ("utility", s)) for s in seeds},
            **{f"sets/actsvd/{s}": (("safety", s), ("elsewhere", s)) for s in seeds},
        }
        for name, (one, two) in wanted.items():
            yield from self.case(f"overlap/{name}", lambda a=one, b=two: of(a, b))


def _mean(values: Mapping[str, float | None]) -> float | None:
    known = [one for one in values.values() if one is not None]
    return float(np.mean(known)) if known else None
