"""How likely answers are under the undisplaced model, in few passes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.slots import CacheShape, SlotStorage
from safebasin.engines.model_shape import vocabulary_rows

EACH_ON_GPU = 256 * 2**20
"""How many bytes of logits a GPU turns into probabilities at a time."""

SHARE = 1 / 16
"""The share of a GPU's free memory that the logits of one pass, or its keys and values, may take:
its passes want many tokens, where those of a CPU want to stay near its caches."""

MOST_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Room:
    """The memory that one pass may take, in bytes.

    logits  its logits
    cache   its keys and values; those of the prompts may take as much again
    each    how much of the logits, in float32, is turned into probabilities at a time, which take
            as much again
    """

    logits: int = 6 * 2**20
    cache: int = 256 * 2**20
    each: int = 2**20

    @classmethod
    def on(cls, device: torch.device, free: int) -> Room:
        """The room on a device with so much free memory (bytes)."""
        if device.type == "cpu":
            return cls()
        share = min(MOST_BYTES, int(SHARE * free))
        return cls(max(cls.logits, share), max(cls.cache, share), EACH_ON_GPU)

    def taken(
        self,
        shape: CacheShape,
        vocabulary: int,
        prompts: Sequence[Sequence[int]],
        new_tokens: int,
    ) -> int:
        """The most memory that is taken while answers of so many tokens are scored, in bytes."""
        longest = max(map(len, prompts))
        kept, scored = (
            len(prompts) * length * shape.bytes_per_token
            for length in (longest, longest + new_tokens)
        )
        whole = len(prompts) * new_tokens * vocabulary * shape.dtype.itemsize
        logits = min(self.logits, whole)
        each = 2 * min(self.each, 4 * logits // shape.dtype.itemsize)
        return (kept if kept <= self.cache else 0) + min(self.cache, scored) + logits + each


class OriginScores:
    """The log-probability (nats) of each token of answers at the undisplaced weights.

    The prompts' keys and values are kept where there is room; an answer that was given before, at
    another point, is not computed again.
    """

    def __init__(self, forward: Forward, prompts: Sequence[Sequence[int]], room: Room) -> None:
        self.forward = forward
        self.prompts = prompts
        self.room = room
        self._shape = CacheShape.of(forward.model)
        self._vocabulary = vocabulary_rows(forward.model)
        self._known: dict[tuple[int, tuple[int, ...]], array[float]] = {}
        self._kept: SlotStorage | None = None
        longest = max(map(len, prompts))
        self._keeps = len(prompts) * longest * self._shape.bytes_per_token <= room.cache

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
            logits = tokens * self._vocabulary * self._shape.dtype.itemsize
            if logits > self.room.logits or cache > self.room.cache:
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
        return _each(logits, [answer for _, answer in batch], self.room.each)

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
def _each(logits: Tensor, answers: Sequence[Sequence[int]], room: int) -> list[array[float]]:
    """The log-probabilities of each answer, given all logits [tokens, vocabulary] in order.

    So many are computed at a time that their logits take `room` bytes in float32.
    """
    targets = torch.tensor([token for answer in answers for token in answer], device=logits.device)
    rows = max(1, room // (4 * logits.shape[-1]))
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
