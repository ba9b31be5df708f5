"""How likely answers are under the undisplaced model, in few passes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.slots import CacheShape, SlotStorage
from safebasin.engines.model_shape import vocabulary_rows

LOGITS_BYTES = {"cpu": 6 * 2**20, "cuda": 256 * 2**20}
"""The most memory that the logits of one pass may take."""

ROWS_BYTES = {"cpu": 2**20, "cuda": 64 * 2**20}
"""How much of the logits is turned into probabilities at a time."""

CACHE_BYTES = 256 * 2**20
"""The most memory that the keys and values of one pass, and those of the prompts, may take."""


def cache_bytes(shape: CacheShape, prompts: Sequence[Sequence[int]], new_tokens: int) -> int:
    """The most memory that keys and values take while answers of so many tokens are scored."""
    longest = max(map(len, prompts))
    kept, scored = (
        len(prompts) * length * shape.bytes_per_token for length in (longest, longest + new_tokens)
    )
    return (kept if kept <= CACHE_BYTES else 0) + min(CACHE_BYTES, scored)


class OriginScores:
    """The log-probability (nats) of each token of answers at the undisplaced weights.

    The prompts' keys and values are kept where they fit into `CACHE_BYTES`; an answer that was
    given before, at another point, is not computed again.
    """

    def __init__(self, forward: Forward, prompts: Sequence[Sequence[int]]) -> None:
        self.forward = forward
        self.prompts = prompts
        self._shape = CacheShape.of(forward.model)
        self._vocabulary = vocabulary_rows(forward.model)
        self._logits = LOGITS_BYTES.get(forward.device.type, LOGITS_BYTES["cpu"])
        self._known: dict[tuple[int, tuple[int, ...]], array[float]] = {}
        self._kept: SlotStorage | None = None
        longest = max(map(len, prompts))
        self._keeps = len(prompts) * longest * self._shape.bytes_per_token <= CACHE_BYTES

    def score(self, answers: Sequence[tuple[int, Sequence[int]]]) -> list[array[float] | None]:
        """The scores of each (index of the prompt, token ids of the answer), in order.

        One a token; None for an answer without tokens. The weights have to be undisplaced.
        """
        keys = [(prompt, tuple(answer)) for prompt, answer in answers]
        new = {key for key in keys if key[1] and key not in self._known}
        waiting = sorted(new, key=lambda key: (len(key[1]), len(self.prompts[key[0]]), key))
        with self.forward.at_one_point(), self.forward.attached():
            while waiting:
                count = self._fitting(waiting)
                batch, waiting = waiting[-count:], waiting[:-count]
                self._known.update(zip(batch, self._pass(batch), strict=True))
        return [self._known.get(key) for key in keys]

    def _fitting(self, waiting: Sequence[tuple[int, tuple[int, ...]]]) -> int:
        """How many of the last, longest answers go into one pass."""
        tokens = longest = 0
        for count, (prompt, answer) in enumerate(reversed(waiting)):
            tokens += len(answer)
            longest = max(longest, len(self.prompts[prompt]) + len(answer))
            cache = (count + 1) * longest * self._shape.bytes_per_token
            if tokens * self._vocabulary * 4 > self._logits or cache > CACHE_BYTES:
                return max(1, count)
        return len(waiting)

    def _pass(self, batch: Sequence[tuple[int, tuple[int, ...]]]) -> list[array[float]]:
        device = self.forward.device
        length = max(len(self.prompts[prompt]) + len(answer) for prompt, answer in batch)
        storage = SlotStorage(self._shape, len(batch), length, device)
        kept = self._prompts_kept()
        if kept is not None:
            common = min(kept.length, length)
            order = torch.tensor([prompt for prompt, _ in batch], device=device)
            storage.load(slice(None), kept.data[:, :, order, :, :common])
        feeds = []
        for slot, (prompt, answer) in enumerate(batch):
            start = 0 if kept is None else len(self.prompts[prompt]) - 1
            tokens = [*self.prompts[prompt][start:], *answer[:-1]]
            feeds.append(Feed(slot, start, tokens, len(answer)))
        logits = self.forward.logits(storage, feeds)
        return _each(logits, [answer for _, answer in batch])

    def _prompts_kept(self) -> SlotStorage | None:
        """Keys and values of all prompts but their last tokens, computed at the first call."""
        if self._keeps and self._kept is None:
            longest = max(map(len, self.prompts))
            device = self.forward.device
            self._kept = SlotStorage(self._shape, len(self.prompts), longest, device)
            feeds = [
                Feed(slot, 0, prompt[:-1], 0) for slot, prompt in enumerate(self.prompts) if prompt
            ]
            self.forward.logits(self._kept, [feed for feed in feeds if feed.tokens])
        return self._kept


@torch.inference_mode()
def _each(logits: Tensor, answers: Sequence[Sequence[int]]) -> list[array[float]]:
    """The log-probabilities of each answer, given all logits [tokens, vocabulary] in order."""
    targets = torch.tensor([token for answer in answers for token in answer], device=logits.device)
    rows = max(1, ROWS_BYTES.get(logits.device.type, 2**20) // (4 * logits.shape[-1]))
    losses = torch.cat(
        [
            torch.nn.functional.cross_entropy(part.float(), target, reduction="none")
            for part, target in zip(
                torch.split(logits, rows), torch.split(targets, rows), strict=True
            )
        ]
    )
    parts = torch.split(-losses.cpu(), [len(answer) for answer in answers])
    return [array("f", part.tolist()) for part in parts]
