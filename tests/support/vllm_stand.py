"""A stand-in for a running vLLM, so that what the engine does with one is tested without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from safebasin.directions import Adapter
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm import engine as vllm_engine
from safebasin.engines.vllm import session as vllm_session
from safebasin.engines.vllm.session import Generated, Slots
from safebasin.errors import EngineError
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.stopping import StopRule
from safebasin.weights import Weights
from support import pico

Answers = Sequence[tuple[Point, Sequence[Exchange]]]


class Stand:
    """A stand-in for a running vLLM: transformers over a model of its own, fed as vLLM is.

    Every stop text is said to have been found after two tokens, rightly or not. `batches` holds,
    of each call of `generate`, the adapter of each row.

    refuses_slots     vLLM does not start with LoRA
    refuses_adapters  it does not load an adapter
    ignored           the weights that it does not take
    ignores_adapters  it answers under an adapter as without one
    """

    version, device = "0", "cpu"
    refuses_slots = refuses_adapters = ignores_adapters = False

    def __init__(
        self,
        model: Any,
        length: int,
        rows: int,
        *,
        trust_remote_code: bool,
        slots: Slots | None = None,
        tensor_parallel: int = 1,
    ) -> None:
        self.tensor_parallel = tensor_parallel
        if slots is not None and self.refuses_slots:
            raise EngineError("vLLM cannot run this model: no LoRA.", "")
        self.length, self.rows, self.slots = length, rows, slots
        self.model = type(model)(model.config).eval()
        self.engine = PlainEngine(self.model, None, {}, Template(pico.tokenizer(), None))  # type: ignore[arg-type]
        self.loads = self.asked = 0
        self.closed = False
        self.ignored: frozenset[str] = frozenset()
        self.weights: Weights | None = None
        self.adapters: list[Adapter] = []
        self.folders: list[Path] = []
        self.batches: list[list[int]] = []

    def load(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        self.loads += 1
        self.weights = None
        own = dict(self.model.named_parameters())
        for name, tensor in tensors:
            if name not in self.ignored:
                own[name].data.copy_(tensor)

    def adopt(self, folder: Path) -> int:
        if self.refuses_adapters:
            raise EngineError("vLLM does not take the adapter: it is not.", "")
        self.folders.append(folder)
        self.weights = self.weights or Weights(self.model, exclude_norms=False)
        self.adapters.append(Adapter(folder, self.weights))
        return len(self.adapters)

    @contextmanager
    def under(self, adapters: Sequence[int], row: int) -> Iterator[None]:
        if not adapters or self.ignores_adapters:
            yield
            return
        adapter = self.adapters[adapters[row] - 1]
        with adapter.weights.displaced([(1.0, adapter)]):
            yield

    def generate(
        self,
        prompts: Sequence[list[int]],
        limit: int,
        ends: Sequence[int],
        stop: Sequence[str] = (),
        adapters: Sequence[int] = (),
    ) -> list[Generated]:
        self.asked += len(prompts)
        self.batches.append(list(adapters))
        found = []
        for i, prompt in enumerate(prompts):
            with self.under(adapters, i):
                tokens = self.engine._generate_batch([prompt], Sampling(limit))[0]
            if stop:
                found.append(Generated(tokens[:2], "stop"))
            else:
                found.append(Generated(tokens, "eos" if tokens[-1] in ends else "length"))
        return found

    @torch.inference_mode()
    def score(self, rows: Sequence[list[int]], adapters: Sequence[int] = ()) -> list[list[float]]:
        scores = []
        for k, row in enumerate(rows):
            with self.under(adapters, k):
                logits = self.model(torch.tensor([row])).logits[0].log_softmax(-1)
            scores.append([float(logits[i, token]) for i, token in enumerate(row[1:])])
        return scores

    def close(self) -> None:
        self.closed = True


def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[Stand]:
    """Let engines start stand-ins in place of vLLM; the list fills with those that start."""
    started: list[Stand] = []

    def start(*args: Any, **options: Any) -> Stand:
        started.append(Stand(*args, **options))
        return started[-1]

    monkeypatch.setattr(vllm_engine, "Session", start)
    monkeypatch.setattr(vllm_session, "find_spec", lambda name: object())
    return started


def assert_decided_sooner(early: Answers, expected: Answers, rule: StopRule) -> None:
    """With the verdict stop every verdict is that of the whole answers, and fewer tokens come."""
    for (_, ours), (_, theirs) in zip(early, expected, strict=True):
        for own, plain in zip(ours, theirs, strict=True):
            assert rule.decides(own.response) == rule.decides(plain.response)
            assert (own.finish == "verdict") == rule.decides(own.response)
            assert plain.response.startswith(own.response)
    count = sum(one.new_tokens for _, exchanges in early for one in exchanges)
    assert count < sum(one.new_tokens for _, exchanges in expected for one in exchanges)
