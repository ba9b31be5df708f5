"""What a scan will cost before it starts: points, tokens, memory, and time by a measured batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from safebasin.directions.resident import bytes_to_hold
from safebasin.engines import Engine, Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.fast.costs import Counter
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.memory import free_bytes, row_bytes
from safebasin.engines.padding import WAYS
from safebasin.engines.plain import PlainEngine
from safebasin.engines.vllm.engine import VllmEngine
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.thought_plan import ThoughtPlan

LOG = logging.getLogger(__name__)

PROBE_TOKENS = 12
"""How many tokens the measured batch generates at most."""

PROBE_PROMPTS, FEWEST_PROBED = 16, 4
"""How many prompts it asks where the time of a pass is measured apart from it: no more than are
expected to be answered in PROBE_SECONDS, but these fewest."""

PROBE_SECONDS = 0.5
"""A choice. With it a plan of the aligned SmolLM2-135M told 14 to 35 s, and answering took 32; of
the model before its alignment it told the same, and answering took 43, longer answers included."""

AGAIN_SECONDS = 0.4
"""A batch that took longer is not measured again: what its first call alone takes is little."""


@dataclass(frozen=True)
class CapabilityPlan:
    """What a capability will cost at the points that lack it.

    `seconds` is a range, as that of a Plan; None where it is not measured beforehand.
    """

    name: str
    points_missing: int
    seconds: tuple[float, float] | None


@dataclass(frozen=True)
class Plan:
    """The size and the expected cost of a scan.

    `seconds` is a range: the low end if every answer is as long as those of the measured batch at
    the undisplaced model, the high end if every answer runs to the token limit, as broken models
    do; None where nothing was measured, and then `memory` is that of the weights alone, and the
    batch is not known. `asides` is what of it goes to answers of the undisplaced model beside those
    at the points: everyday questions, and at the high end a few answers given again with a longer
    limit. Memory is in bytes. `answers_missing` counts what the run folder does not
    hold yet. `way` says how the answers will be made, and why so, by how many `workers`. The time
    of `capabilities` is not in `seconds`. Of the judges that are models, `judges_beside` are loaded
    beside the model that is asked, `judges_last` once all is answered and that one is freed.
    `thinks` says that answers of the measured batch begin with a thought, `thought` how many
    tokens they need.
    """

    points: int
    prompts: int
    answers: int
    answers_missing: int
    prompt_tokens: int
    new_tokens: int
    batch_size: int | None
    seconds: tuple[float, float] | None
    memory: int
    memory_free: int
    way: str
    workers: int = 1
    capabilities: tuple[CapabilityPlan, ...] = ()
    judges_beside: tuple[str, ...] = ()
    judges_last: tuple[str, ...] = ()
    thinks: bool = False
    thought: ThoughtPlan | None = None
    asides: tuple[float, float] = (0.0, 0.0)

    def with_asides(self, everyday: float, further: float) -> Plan:
        """The same with so many answers more, counted in answers that run to the limit.

        `everyday` ones are given in any case, `further` ones where answers are cut.
        """
        if self.seconds is None or not self.answers_missing:
            return self
        low, high = self.seconds
        each = high / self.answers_missing
        asides = each * everyday, each * (everyday + further)
        return replace(self, seconds=(low + asides[0], high + asides[1]), asides=asides)

    def by_workers(self, count: int) -> Plan:
        """The same work done by so many processes, each with its own rows, but for the asides."""
        if self.seconds is None:
            return replace(self, workers=count)
        low, high = (
            aside + (seconds - aside) / count
            for seconds, aside in zip(self.seconds, self.asides, strict=True)
        )
        return replace(self, seconds=(low, high), workers=count)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def outline(
    engine: AnyEngine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    points: Sequence[Point],
    missing: int,
) -> Plan:
    """The size of a scan alone: nothing is measured, tried out or asked."""
    answers = len(points) * len(prompts)
    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters())
    return Plan(
        points=len(points),
        prompts=len(prompts),
        answers=answers,
        answers_missing=missing,
        prompt_tokens=len(points) * sum(len(engine.template.encode(p)) for p in prompts),
        new_tokens=answers * sampling.max_new_tokens,
        batch_size=None,
        seconds=None,
        memory=weights,
        memory_free=free_bytes(engine.model.device),
        way=f"{engine.name}; how it works is chosen when it begins",
    )


def estimate(
    engine: AnyEngine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    points: Sequence[Point],
    missing: int,
) -> Plan:
    """Measure one batch at the undisplaced model and extrapolate to the whole scan."""
    LOG.info("probing the speed by a measured batch")
    return ESTIMATES[engine.name](engine, prompts, sampling, points, missing)


def _vllm(
    engine: VllmEngine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    points: Sequence[Point],
    missing: int,
) -> Plan:
    """vLLM is started for it, and stays. All prompts are asked at the origin, as `_plain` does."""
    session = engine.start(prompts, sampling)
    _timed(engine, prompts, Sampling(1))
    reading, _ = _timed(engine, prompts, Sampling(1))
    probe = min(PROBE_TOKENS, sampling.max_new_tokens)
    generating, answers = _timed(engine, prompts, replace(sampling, max_new_tokens=probe))
    steps = _longest(answers)
    step = max(generating - reading, 0.0) / max(steps - 1, 1)
    moving = 0.0 if engine.line else engine.load_seconds * (2 if engine.scores else 1)
    low, high = (
        missing / len(prompts) * (moving + reading + step * length)
        for length in (steps, sampling.max_new_tokens)
    )
    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters())
    return Plan(
        points=len(points),
        prompts=len(prompts),
        answers=len(points) * len(prompts),
        answers_missing=missing,
        prompt_tokens=len(points) * sum(len(engine.template.encode(p)) for p in prompts),
        new_tokens=len(points) * len(prompts) * sampling.max_new_tokens,
        batch_size=session.rows,
        seconds=(low, high),
        memory=weights + engine.weights.pristine_bytes + _to_hold(engine),
        memory_free=free_bytes(engine.model.device),
        way=engine.plan_text(),
        thinks=_thinks(answers),
    )


def _fast(
    engine: FastEngine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    points: Sequence[Point],
    missing: int,
) -> Plan:
    memory = engine.plan(points, prompts, sampling)
    if memory.mode == "plain":
        plan = _plain(engine.plain, prompts, sampling, points, missing)
        return replace(plan, way="\n".join([memory.text(), *plan.way.splitlines()[1:]]))
    probe = Sampling(min(PROBE_TOKENS, sampling.max_new_tokens))
    encoded = [engine.template.encode(prompt) for prompt in prompts]

    count, tokens = min(PROBE_PROMPTS, len(prompts)), probe.max_new_tokens
    while (
        engine.planner.seconds(memory, [Point()], encoded[:count], tokens, tokens) > PROBE_SECONDS
        and count > FEWEST_PROBED
    ):
        count = max(FEWEST_PROBED, count // 2)
    with engine.trial():  # scores take as long again, and are known from the passes
        measured, computed, exchanges = _counted(engine, prompts[:count], probe)
        if measured < AGAIN_SECONDS:  # what a first call alone takes would count
            measured, computed, exchanges = _counted(engine, prompts[:count], probe)
    lengths = [exchange.new_tokens for exchange in exchanges]
    longest, mean = max(lengths), sum(lengths) / len(lengths)
    pace = min(1.0, computed.passes / longest) if longest else None
    # What a pass costs besides the model's own work shows in a real batch only, and so does what
    # is computed besides prompts and answers, as drafts are.
    slower = measured / max(engine.planner.seconds_of(computed), 1e-9)
    more = computed.tokens / max(sum(map(len, encoded[:count])) + sum(lengths), 1)
    factor = max(1.0, slower * more)
    share = missing / (len(points) * len(prompts))
    limit = sampling.max_new_tokens
    low, high = (
        share
        * (
            factor * engine.planner.seconds(memory, points, encoded, length, each, pace)
            + engine.planner.scoring_seconds(points, encoded, each)
            + engine.planner.moving_seconds(memory, points)
        )
        for length, each in ((longest, mean), (limit, limit))
    )
    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters())
    return Plan(
        points=len(points),
        prompts=len(prompts),
        answers=len(points) * len(prompts),
        answers_missing=missing,
        prompt_tokens=len(points) * sum(map(len, encoded)),
        new_tokens=len(points) * len(prompts) * sampling.max_new_tokens,
        batch_size=memory.rows,
        seconds=(min(low, high), high),
        memory=weights + memory.total,
        memory_free=memory.free,
        way=memory.text(),
        thinks=_thinks(exchanges),
    )


def _plain(
    engine: PlainEngine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    points: Sequence[Point],
    missing: int,
) -> Plan:
    """The batch is generated twice, the first time with one token, so that the time of a token and
    the time of reading the prompts can be told apart."""
    encoded = [engine.template.encode(prompt) for prompt in prompts]
    engine.check(prompts, encoded, sampling)
    lengths = list(map(len, encoded))
    longest = max(lengths) + sampling.max_new_tokens
    batch_size = engine.choose_batch_size(longest, len(prompts))
    together = engine.together(encoded)
    batch = prompts[:batch_size]
    reading, _ = _timed(engine, batch, Sampling(1))
    # The first call on a GPU takes long however little is asked.
    if reading < AGAIN_SECONDS or engine.model.device.type != "cpu":
        reading, _ = _timed(engine, batch, Sampling(1))
    probe = min(PROBE_TOKENS, sampling.max_new_tokens)
    generating, answers = _timed(engine, batch, replace(sampling, max_new_tokens=probe))
    steps = _longest(answers)
    step = max(generating - reading, 0.0) / max(steps - 1, 1)
    batches = -(-missing // batch_size)
    low = batches * (reading + step * steps)
    high = batches * (reading + step * sampling.max_new_tokens)
    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters())
    rows = batch_size * row_bytes(engine.model, longest)
    notes = [WAYS[together] if batch_size > 1 else "", engine.plan_text()]
    return Plan(
        points=len(points),
        prompts=len(prompts),
        answers=len(points) * len(prompts),
        answers_missing=missing,
        prompt_tokens=len(points) * sum(lengths),
        new_tokens=len(points) * len(prompts) * sampling.max_new_tokens,
        batch_size=1 if together == "single" else batch_size,
        seconds=(low, high),
        memory=weights + engine.weights.pristine_bytes + rows + _to_hold(engine),
        memory_free=free_bytes(engine.model.device),
        way="\n  ".join(["one point after another with the plain engine", *filter(None, notes)]),
        thinks=_thinks(answers),
    )


ESTIMATES: dict[str, Callable[..., Plan]] = {"fast": _fast, "plain": _plain, "vllm": _vllm}
"""Each engine's own, by its name."""


def _timed(
    engine: Engine, prompts: Sequence[Prompt], sampling: Sampling
) -> tuple[float, list[Exchange]]:
    """Seconds to answer at the origin, and the answers."""
    start = time.perf_counter()
    [(_, exchanges)] = engine.answers([Point()], prompts, sampling)
    return time.perf_counter() - start, exchanges


def _counted(
    engine: FastEngine, prompts: Sequence[Prompt], sampling: Sampling
) -> tuple[float, Counter, list[Exchange]]:
    """The same, with the passes and tokens that it took."""
    before = replace(engine.counter)
    measured, exchanges = _timed(engine, prompts, sampling)
    passes, tokens = (
        getattr(engine.counter, name) - getattr(before, name) for name in ("passes", "tokens")
    )
    return measured, Counter(passes=passes, tokens=tokens), exchanges


def _to_hold(engine: PlainEngine | VllmEngine) -> int:
    return bytes_to_hold(engine.directions.values(), engine.model.device)


def _longest(exchanges: Sequence[Exchange]) -> int:
    return max(exchange.new_tokens for exchange in exchanges)


def _thinks(exchanges: Sequence[Exchange]) -> bool:
    return any(exchange.split.thinks for exchange in exchanges)
