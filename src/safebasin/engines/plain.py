"""The plain engine: `generate` of transformers, one point at a time. Obviously right, not fast.

It is the yardstick: any faster engine has to give the verdicts that this one gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch

from safebasin.checkpoint.end_tokens import named_end_tokens
from safebasin.directions import Direction
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.broken_logits import no_numbers
from safebasin.engines.end_tokens import EndTokens
from safebasin.engines.memory import batch_size_for, free_model, is_out_of_memory
from safebasin.engines.model_shape import most_positions, text_config, vocabulary_rows
from safebasin.engines.padding import Together, first_batch, padded, rows_together
from safebasin.engines.template import Template
from safebasin.engines.token_table import pad_token_of, require_end, require_rows
from safebasin.errors import EngineError
from safebasin.exchange import Exchange, Finish
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.stopping import StopRule
from safebasin.weights import Weights

LOGITS_BYTES = 256 * 2**20
"""The most memory that the logits of one scoring batch may take."""

Row = TypeVar("Row")


class PlainEngine:
    """Generates greedily with left-padded batches, then scores answers at the pristine weights.

    `batch_size` None chooses one that fits in the free memory. Batches hold prompts of similar
    length in an order that depends on the prompts alone, so the same command gives the same
    batches; where padding changes a model's answers, prompts of one length, or single ones. Where
    memory runs out the batch size is halved once, and `halved` says so.
    `own_limit` is the limit of new tokens that the checkpoint itself asks for, if it does. `ends`
    may be replaced where other models, with other end tokens, lie at some of the points.
    """

    name = "plain"
    own_process = False
    ends_early = False
    stop: StopRule | None = None

    def __init__(
        self,
        model: Any,
        weights: Weights,
        directions: Mapping[str, Direction],
        template: Template,
        batch_size: int | None = None,
    ) -> None:
        from transformers import GenerationConfig

        self.model = model
        self.weights = weights
        self.directions = dict(directions)
        self.template = template
        self.batch_size = batch_size
        self.halved = False
        self.own_limit: int | None = model.generation_config.max_new_tokens
        self.end_tokens = end_tokens_of(model, template.tokenizer)
        self.ends = EndTokens(self.end_tokens)
        require_end(model, template.tokenizer, self.end_tokens)
        self.pad_token = pad_token_of(model, template.tokenizer, self.end_tokens)
        # generate() fills unset options from the model's own defaults; greedy must stay greedy.
        model.generation_config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            pad_token_id=self.pad_token,
            eos_token_id=list(self.end_tokens) or None,
        )

    @property
    def plain(self) -> PlainEngine:
        """The engine by which any other is measured."""
        return self

    def settle(
        self, points: Sequence[Point], prompts: Sequence[Prompt], sampling: Sampling
    ) -> None:
        """There is one way of working."""

    def plan_text(self) -> str:
        """Nothing is chosen."""
        return ""

    def close(self) -> None:
        """Nothing runs elsewhere."""

    def free(self) -> None:
        """Give back the memory of the model; nothing can be asked any more."""
        self.weights.forget_pristine()
        free_model(self.model)

    def spec(self) -> dict[str, object]:
        return {
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "end_tokens": list(self.end_tokens),
            "template": self.template.spec(),
        }

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        """Yield each point, in the order given, with the exchanges in the order of `prompts`."""
        encoded = [self.template.encode(prompt) for prompt in prompts]
        self.check(prompts, encoded, sampling)
        self.together(encoded)  # tried out while the weights are undisplaced
        for point in points:
            if wanted is not None and not wanted(point):
                continue
            terms = [(value, self.directions[name]) for name, value in point.terms]
            produced: dict[int, tuple[Exchange, list[int]]] = {}
            with self.weights.displaced(terms):
                ends = self.ends.of(point)
                for batch, rows in self._generate(encoded, sampling, ends):
                    for index, tokens in zip(batch, rows, strict=True):
                        exchange = self._exchange(prompts[index], encoded[index], tokens, ends)
                        produced[index] = (exchange, tokens)
                    if progress is not None:
                        progress(point, [produced[index][0] for index in batch])
            ordered = [produced[index] for index in range(len(prompts))]
            scores = self._origin_logprobs(encoded, [tokens for _, tokens in ordered])
            if point.is_origin:
                self.require_numbers(prompts, scores)
            yield (
                point,
                [
                    exchange.scored(score)
                    for (exchange, _), score in zip(ordered, scores, strict=True)
                ],
            )

    def choose_batch_size(self, length: int, rows: int) -> int:
        """The batch size that was given, else the largest that fits, for rows of this length."""
        if self.batch_size is not None:
            return min(self.batch_size, rows)
        return batch_size_for(self.model, length, rows)

    def _generate(
        self, encoded: Sequence[list[int]], sampling: Sampling, ends: Sequence[int] | None = None
    ) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Yield (indices, new token ids of each) batch by batch; without `ends` the model's own."""
        lengths = [len(row) for row in encoded]
        waiting = sorted(range(len(encoded)), key=lambda i: (-lengths[i], i))
        longest = max(lengths) + sampling.max_new_tokens
        while waiting:
            size = self.choose_batch_size(longest, len(encoded))
            batch = first_batch(waiting, lengths, size, self.together(encoded))
            rows = self._retry_smaller(
                lambda batch: self._generate_batch([encoded[i] for i in batch], sampling, ends),
                batch,
            )
            yield batch[: len(rows)], rows
            waiting = waiting[len(rows) :]

    def _retry_smaller(self, work: Callable[[list[int]], list[Row]], batch: list[int]) -> list[Row]:
        try:
            return work(batch)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.halved or len(batch) == 1:
                raise EngineError(
                    f"Memory ran out with {len(batch)} prompts in a batch.",
                    "Give a smaller --batch or --max-new-tokens, or another --dtype or --device.",
                ) from error
        self.halved = True
        self.batch_size = max(1, len(batch) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._retry_smaller(work, batch[: self.batch_size])

    @torch.inference_mode()
    def _generate_batch(
        self, rows: Sequence[list[int]], sampling: Sampling, ends: Sequence[int] | None = None
    ) -> list[list[int]]:
        ends = self.ends.own if ends is None else ends
        ids, mask = padded(rows, self.pad_token, "left")
        device = self.model.device
        output = self.model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=list(ends) or None,
            **self.generation_options(rows),
        )
        return [_until_end(tokens, ends) for tokens in output[:, ids.shape[1] :].tolist()]

    def generation_options(self, rows: Sequence[list[int]]) -> dict[str, Any]:
        """More options of `generate` for a batch of encoded prompts. None here: greedy."""
        return {}

    def _exchange(
        self, prompt: Prompt, encoded: list[int], tokens: list[int], ends: Sequence[int]
    ) -> Exchange:
        ended = bool(tokens) and tokens[-1] in ends
        finish: Finish = "eos" if ended else "length"
        return self.template.exchange(prompt, encoded, tokens, finish)

    @torch.inference_mode()
    def _origin_logprobs(
        self, encoded: Sequence[list[int]], answers: Sequence[list[int]]
    ) -> list[list[float] | None]:
        """The log-probability (nats) of each token of each answer at the pristine weights."""
        scores: list[list[float] | None] = [None] * len(answers)
        rows = [prompt + answer for prompt, answer in zip(encoded, answers, strict=True)]
        lengths = [len(row) for row in rows]
        waiting = sorted((i for i, row in enumerate(answers) if row), key=lambda i: -lengths[i])
        vocabulary = vocabulary_rows(self.model)
        together = rows_together(self.model, rows, self.pad_token, "right")
        while waiting:
            size = max(1, LOGITS_BYTES // (4 * vocabulary * lengths[waiting[0]]))
            batch = first_batch(waiting, lengths, size, together)
            waiting = waiting[len(batch) :]
            ids, mask = padded([rows[i] for i in batch], self.pad_token, "right")
            device = self.model.device
            logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
            for k, i in enumerate(batch):
                start = len(encoded[i])
                predicted = logits[k, start - 1 : lengths[i] - 1].float()
                target = torch.tensor(answers[i], device=predicted.device)
                losses = torch.nn.functional.cross_entropy(predicted, target, reduction="none")
                scores[i] = (-losses).tolist()
        return scores

    def together(self, encoded: Sequence[list[int]]) -> Together:
        """Which rows may share a batch that is generated from, as far as rows are to share one."""
        if self.batch_size == 1:
            return "single"
        return rows_together(self.model, encoded, self.pad_token, "left")

    def check(
        self, prompts: Sequence[Prompt], encoded: Sequence[list[int]], sampling: Sampling
    ) -> None:
        """Raise EngineError where the model cannot take one of these prompts."""
        for prompt, row in zip(prompts, encoded, strict=True):
            require_rows(self.model, self.template.tokenizer, [row], f"prompt '{prompt.id}'")
        limit = most_positions(self.model)
        if limit is None:
            return
        longest = max(range(len(encoded)), key=lambda i: len(encoded[i]))
        needed = len(encoded[longest]) + sampling.max_new_tokens
        if needed > limit:
            raise EngineError(
                f"Prompt '{prompts[longest].id}' has {len(encoded[longest])} tokens; with "
                f"{sampling.max_new_tokens} new ones that is {needed}; the model takes {limit}.",
                "Give a smaller --max-new-tokens, or leave out the prompt.",
            )

    def require_numbers(
        self, prompts: Sequence[Prompt], scores: Sequence[Sequence[float] | None]
    ) -> None:
        """Raise EngineError where the undisplaced model's own answers have no likelihood."""
        for prompt, score in zip(prompts, scores, strict=True):
            if score and not all(map(math.isfinite, score)):
                raise no_numbers(self.model, prompt.id)


def end_tokens_of(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end an answer, by the model's settings and its tokenizer, ascending."""
    return named_end_tokens(model.generation_config, text_config(model), tokenizer)


def _until_end(tokens: list[int], ends: Sequence[int]) -> list[int]:
    for i, token in enumerate(tokens):
        if token in ends:
            return tokens[: i + 1]
    return tokens
