"""How far a tuned model's next tokens are from its base's where nothing should have changed.

The definition. A benign prompt x is answered by the base, greedily, with tokens y_1 .. y_T (its end
token among them, at most the comparison's limit of new tokens). Both models then read x and y
alike, and at each place t

    KL_t = Σ_v p_base(v | x, y_<t) · (log p_base(v | x, y_<t) - log p_tuned(v | x, y_<t))

that is KL(base ‖ tuned) in nats, over every token v that the base has an output for, from
log-softmax in float32 of the logits that the models give, summed in float64. The first-token KL
of a prompt is KL_1; its KL over the answer is the mean of KL_1 .. KL_T. Both are then averaged over
prompts, each counting alike. 0 means equal distributions; there is no upper bound.

Qi et al. (2024, arXiv 2406.05946) look so at harmful answers, token by token; here the prompts are
benign, and a low value says that a fine-tune left the model's ordinary behaviour as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from safebasin.engines import Sampling
from safebasin.engines.broken_logits import no_numbers
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.engines.padding import first_batch, padded, rows_together
from safebasin.engines.plain import LOGITS_BYTES, PlainEngine
from safebasin.landscape.intervals import Estimate
from safebasin.plane import Point
from safebasin.prompts import Prompt

KEPT_BYTES = 512 * 2**20
"""The most memory for the base's log-probabilities, which wait until the weights have moved."""

REPLICATES = 9999
METHOD = f"hull of t and BCa bootstrap over prompts, {REPLICATES} replicates, seed 0"

OVER_THE_ANSWER, FIRST_TOKEN = "KL on benign prompts", "first-token KL on benign prompts"
"""The names of the limits that it can be held against."""

Answered = tuple[list[int], list[int]]
"""The tokens of a prompt, and of its answer."""


@dataclass(frozen=True)
class PromptDivergence:
    """What was measured on one prompt, in nats; None where logits were not finite.

    tokens  how many tokens the base's answer has
    first   KL at its first token
    mean    the mean over its tokens
    """

    prompt_id: str
    tokens: int
    first: float | None
    mean: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.prompt_id,
            "tokens": self.tokens,
            "first": self.first,
            "mean": self.mean,
        }

    @classmethod
    def from_json(cls, value: Any) -> PromptDivergence:
        """Raises ValueError, KeyError or TypeError where it is no such value."""
        first, mean = (None if value[n] is None else float(value[n]) for n in ("first", "mean"))
        return cls(str(value["id"]), int(value["tokens"]), first, mean)


@dataclass(frozen=True)
class Divergence:
    """KL(base ‖ tuned) on benign prompts, in nats a token; the module has the definition.

    prompts  the set that was asked, by name
    n        how many of its prompts were measured
    tokens   how many tokens their answers have together
    first    at the first token of the answer
    mean     over the answer
    broken   prompts where logits were not finite; with any, neither estimate has a value
    """

    prompts: str
    n: int
    tokens: int
    first: Estimate
    mean: Estimate
    broken: int = 0

    @classmethod
    def of(cls, prompts: str, each: Sequence[PromptDivergence]) -> Divergence:
        """The means over the prompts of a set, whose name is `prompts`."""
        broken = sum(one.first is None or one.mean is None for one in each)
        note = f"logits were not finite on {broken} of {len(each)} prompts" if broken else ""
        first, mean = (
            Estimate(None, note=note) if note else mean_divergence(side)
            for side in (
                [one.first for one in each if one.first is not None],
                [one.mean for one in each if one.mean is not None],
            )
        )
        return cls(prompts, len(each), sum(one.tokens for one in each), first, mean, broken)

    def to_json(self) -> dict[str, Any]:
        return {
            "measure": "KL(base || tuned), nats a token",
            "prompts": self.prompts,
            "n": self.n,
            "tokens": self.tokens,
            "first_token": self.first.to_json(),
            "answer": self.mean.to_json(),
            "broken": self.broken,
        }


def mean_divergence(values: Sequence[float], level: float = 0.95) -> Estimate:
    """The mean over prompts of a divergence, at least 0, with an interval over prompts.

    The values are skewed: a few prompts hold most of the sum, so an interval misses the mean from
    below more often than from above. Of 600 synthetic sets each, log-normal with a standard
    deviation of the logarithm of 0.6 and 1.0, the hull that is used covered 0.93 and 0.90 with 16
    prompts, 0.94 and 0.90 with 32, 0.96 and 0.94 with 80; the percentile bootstrap 0.89 and 0.84,
    0.91 and 0.86, 0.95 and 0.90. Values that are all alike have an interval of no width.
    """
    if not values:
        return Estimate(None, level=level, note="no prompt was measured")
    value = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(value, level=level, method="none", note="one prompt gives no interval")
    if max(values) == min(values):
        return Estimate(value, value, value, level, "all prompts alike")
    import numpy as np
    from scipy.stats import bootstrap
    from scipy.stats import t as student

    sample = np.array(values)
    drawn = bootstrap(
        (sample,),
        np.mean,
        confidence_level=level,
        n_resamples=REPLICATES,
        method="BCa",
        rng=np.random.default_rng(0),
        vectorized=True,
    ).confidence_interval
    half = float(student.ppf(0.5 + level / 2, len(sample) - 1) * sample.std(ddof=1))
    half /= math.sqrt(len(sample))
    low, high = min(value - half, float(drawn.low)), max(value + half, float(drawn.high))
    return Estimate(value, max(low, 0.0), high, level, METHOD)


def divergences(
    engine: PlainEngine,
    tuned: Point,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    store: Callable[[list[PromptDivergence]], None],
) -> None:
    """Measure each prompt between the undisplaced model and the one at `tuned`.

    `store` is given the prompts' values, some at a time. The weights are displaced once for each
    time, and restored bit for bit. Raises EngineError where a prompt is too long for the model or
    memory runs out.
    """
    rows = answered(engine, prompts, sampling)
    terms = [(value, engine.directions[name]) for name, value in tuned.terms]
    vocabulary = vocabulary_rows(engine.model)
    for part in _parts([len(rows[i][1]) for i in range(len(prompts))], 4 * vocabulary):
        asked = [rows[i] for i in part]
        before = list(log_probabilities(engine, asked, vocabulary, keep=True))
        for i, one in zip(part, before, strict=True):
            if one.isnan().any():
                raise no_numbers(engine.model, prompts[i].id)
        found = []
        with engine.weights.displaced(terms):
            pairs = zip(part, before, log_probabilities(engine, asked, vocabulary), strict=True)
            for i, ours, theirs in pairs:
                each = divergence_at_tokens(ours.to(theirs.device), theirs)
                found.append(measured(prompts[i].id, each))
        store(found)


def answered(engine: PlainEngine, prompts: Sequence[Prompt], sampling: Sampling) -> list[Answered]:
    """The prompts and the greedy answers of the model as it is, as token ids, in order.

    Raises EngineError where a prompt is too long for the model or memory runs out.
    """
    encoded = [engine.template.encode(prompt) for prompt in prompts]
    engine.check(prompts, encoded, sampling)
    found: dict[int, Answered] = {}
    for batch, answers in engine._generate(encoded, sampling):
        found |= {i: (encoded[i], answer) for i, answer in zip(batch, answers, strict=True)}
    return [found[i] for i in range(len(prompts))]


def divergence_at_tokens(ours: Tensor, theirs: Tensor) -> Tensor:
    """KL(ours ‖ theirs) of each row, float64 in nats, at least 0; from log-probabilities.

    A token to which `ours` gives no probability at all has no part in it.
    """
    # A row at a time, so that the tokens of a long answer are never held in float64 together.
    return torch.stack([_divergence(p, q) for p, q in zip(ours, theirs, strict=True)])


def _divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    log_p, log_q = ours.double(), theirs.double()
    p, q = log_p.exp(), log_q.exp()
    # Σ p·log(p/q) - p + q is the same, as both sum to 1; but no part of it is negative, and the
    # rounding of a float32 normaliser, which is as large as a small divergence, cancels.
    each = torch.where(p > 0, p * (log_p - log_q) - p, torch.zeros_like(p)) + q
    return each.sum().clamp_min(0)


def measured(prompt_id: str, each: Tensor) -> PromptDivergence:
    """The values of a prompt from those of its answer's tokens, nats [tokens]."""
    first, mean = float(each[0]), float(each.mean())
    return PromptDivergence(
        prompt_id,
        len(each),
        first if math.isfinite(first) else None,
        mean if math.isfinite(mean) else None,
    )


def _parts(lengths: Sequence[int], token_bytes: int) -> Iterator[list[int]]:
    """The prompts in their order, as many at a time as may wait in memory."""
    part: list[int] = []
    held = 0
    for i, length in enumerate(lengths):
        if part and held + length * token_bytes > KEPT_BYTES:
            yield part
            part, held = [], 0
        part.append(i)
        held += length * token_bytes
    if part:
        yield part


def log_probabilities(
    engine: PlainEngine, rows: Sequence[Answered], vocabulary: int, *, keep: bool = False
) -> Iterator[Tensor]:
    """Yield for each row, in order, float32 [answer tokens, tokens]: the weights as they are now.

    `keep` moves them to host memory, where they wait.
    """
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    size = max(1, LOGITS_BYTES // (4 * vocabulary * longest))
    waiting = list(range(len(rows)))
    together = rows_together(
        engine.model, [prompt + answer for prompt, answer in rows], engine.pad_token, "right"
    )
    lengths = [len(prompt) + len(answer) for prompt, answer in rows]
    while waiting:
        done = engine._retry_smaller(
            lambda batch: _pass(engine, [rows[i] for i in batch], keep=keep),
            first_batch(waiting, lengths, size, together),
        )
        waiting = waiting[len(done) :]
        yield from done


@torch.inference_mode()
def _pass(engine: PlainEngine, rows: Sequence[Answered], *, keep: bool) -> list[Tensor]:
    ids, mask = padded([prompt + answer for prompt, answer in rows], engine.pad_token, "right")
    device = engine.model.device
    logits = engine.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    found = []
    for k, (prompt, answer) in enumerate(rows):
        start = len(prompt)
        places = logits[k, start - 1 : start - 1 + len(answer)].float().log_softmax(-1)
        found.append(places.cpu() if keep else places)
    return found
