"""One pass through the unmodified model for packed rows, and the count of what passes cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from safebasin.engines.fast import attention
from safebasin.engines.fast.costs import Counter, Meter
from safebasin.engines.fast.decoder import Decoder
from safebasin.engines.fast.graphs import Graphs, Record, record_on_gpu
from safebasin.engines.fast.layout import Feed, Layout, lay_out
from safebasin.engines.fast.likeliest import likeliest
from safebasin.engines.fast.pooled import Pool
from safebasin.engines.fast.products import faster_forwards, replaced
from safebasin.engines.fast.slots import SlotStorage
from safebasin.engines.memory import keep_freed_memory
from safebasin.weights.divided import has_parts


class Forward:
    """Runs packed rows through a model, at one point of weight space or, with a pool, at many.

    decoder  the model's layers in few operators, where there are such
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device = torch.device(model.device)
        self.dtype = model.dtype
        self.head: nn.Module = model.get_output_embeddings()
        self.counter = Counter()
        self.meter = Meter(knee=200.0 if self.device.type == "cuda" else 32.0)
        self._pool: Pool | None = None
        self._unwritten = False
        # Each process of a divided model goes by the model's own modules, which put parts together.
        divided = has_parts(model)
        records = self.device.type == "cuda" and not divided
        self.record: Record | None = record_on_gpu if records else None
        self._graphs: Graphs | None = None
        self._wanted: Tensor | None = None
        # A mask of four dimensions is passed on as it is; attention takes its own from the layout.
        self._no_mask = torch.zeros((1, 1, 1, 1), dtype=model.dtype, device=self.device)
        self._configs = _attention_configs(model)
        self._products = [] if divided else faster_forwards(model)
        self.decoder = None if divided else Decoder.of(model)
        if self.decoder is not None and self.device.type == "cpu":
            keep_freed_memory()
        self._pooled: Decoder | None = None
        self._direct: Decoder | None = None

    @property
    def pool(self) -> Pool | None:
        """The direction along which rows have coefficients of their own."""
        return self._pool

    @pool.setter
    def pool(self, pool: Pool | None) -> None:
        self._pool = pool
        self._pooled = None  # it holds the pool's tensors

    @property
    def copied_bytes(self) -> int:
        """What copies of weights take that passes go by."""
        return 0 if self.decoder is None else self.decoder.copied_bytes

    @property
    def copy_seconds(self) -> float:
        """What the last of these copies took; 0 where none was made."""
        return 0.0 if self.decoder is None else self.decoder.copies.seconds

    def forget(self) -> None:
        """The weights may be others than before, whatever wrote to them."""
        if self.decoder is not None and not self._unwritten:
            self.decoder.forget()

    @contextmanager
    def unwritten(self) -> Iterator[None]:
        """Nobody writes to the weights while the context lasts, and `forget` does nothing."""
        before, self._unwritten = self._unwritten, True
        try:
            yield
        finally:
            self._unwritten = before

    def expect(self, passes: int) -> None:
        """So many passes may come at each point: what they gain by is worth making at once."""
        if self.decoder is not None:
            self.decoder.copies.expect(passes)

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """A larger model's weights are not copied while the context lasts: a few passes do not pay
        for it, and are timed without it."""
        if self.decoder is None:
            yield
            return
        copies = self.decoder.copies
        before, copies.held = copies.held, True
        try:
            yield
        finally:
            copies.held = before

    @contextmanager
    def at_one_point(self) -> Iterator[None]:
        """Passes go by the weights as they are, without the pool, while the context lasts."""
        pool, pooled = self.pool, self._pooled
        self.pool = None
        try:
            yield
        finally:
            self.pool, self._pooled = pool, pooled

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model runs packed rows while the context lasts; otherwise it is as it was."""
        if self.decoder is not None and self.decoder.is_whole():
            if self.pool is not None and self._pooled is None:
                self._pooled = Decoder(self.model, self.pool.forwards)
            self._direct = self._pooled or self.decoder
            self._direct.refresh()
            try:
                yield
            finally:
                self._direct = None
            return
        before = [config._attn_implementation for config in self._configs]
        with ExitStack() as stack:
            for config, name in zip(self._configs, before, strict=True):
                stack.callback(setattr, config, "_attn_implementation", name)
                config._attn_implementation = attention.NAME
            hook = self.head.register_forward_pre_hook(self._select_wanted)
            stack.callback(hook.remove)
            if self.pool is not None:
                stack.enter_context(replaced(self.pool.forwards))
            stack.enter_context(replaced(self._products))  # of the modules that are not pooled
            yield

    def logits(
        self,
        storage: SlotStorage,
        feeds: Sequence[Feed],
        coefficients: Sequence[float] | None = None,
    ) -> Tensor:
        """The logits [predictions, vocabulary] that the feeds want, in their order.

        `coefficients` has one number a feed, and is needed where there is a pool. Keys and values
        of the fed tokens are stored on the way.
        """
        logits, order = self._pass(storage, feeds, coefficients, self._run_model)
        places = _unsorted(order, feeds)
        if places == list(range(len(places))):
            return logits
        return logits[torch.tensor(places, device=self.device)]

    def predictions(
        self,
        storage: SlotStorage,
        feeds: Sequence[Feed],
        coefficients: Sequence[float] | None = None,
    ) -> tuple[list[int], list[bool]]:
        """The likeliest next tokens that the feeds want, and whether their logits are numbers."""
        if self.record is not None:
            replayed = self._replayed(storage, feeds, coefficients or [0.0] * len(feeds))
            if replayed is not None:
                return replayed
        found, order = self._pass(storage, feeds, coefficients, self._choose)
        tokens, finite = found.tolist()
        if self.pool is None:
            return tokens, [bool(one) for one in finite]
        places = _unsorted(order, feeds)
        return [tokens[i] for i in places], [bool(finite[i]) for i in places]

    @torch.inference_mode()
    def _pass(
        self,
        storage: SlotStorage,
        feeds: Sequence[Feed],
        coefficients: Sequence[float] | None,
        run: Callable[[SlotStorage, Layout], Tensor],
    ) -> tuple[Tensor, list[int]]:
        """What a pass gives, in the order of the feeds' indices that comes with it."""
        order = list(range(len(feeds)))
        if self.pool is not None:
            values = coefficients or [0.0] * len(feeds)
            order = self.pool.arrange(feeds, values)
            feeds = [feeds[i] for i in order]
            values = [values[i] for i in order]
        layout = lay_out(feeds, storage.length, storage.data.dtype, self.device)
        if self.pool is not None:
            self._set_coefficients(self.pool, layout, feeds, values)
        found = run(storage, layout)
        self._count(feeds)
        return found, order

    def _choose(self, storage: SlotStorage, layout: Layout) -> Tensor:
        """The likeliest tokens, int64 [2, predictions], and whether their logits are numbers."""
        if self._direct is not None:
            storage.write_to(layout.places)
            with attention.laid_out(layout):
                found = self._direct.likeliest(storage, layout)
            if found is not None:
                return found
        return likeliest(self._run_model(storage, layout))

    def _run_model(self, storage: SlotStorage, layout: Layout) -> Tensor:
        storage.write_to(layout.places)
        self._wanted = layout.wanted
        with attention.laid_out(layout):
            if self._direct is not None:
                return self._direct.logits(storage, layout)
            output = self.model(
                input_ids=layout.ids,
                attention_mask=self._no_mask,
                position_ids=layout.positions,
                past_key_values=storage,
                use_cache=True,
            )
        logits: Tensor = output.logits[0]
        return logits

    def _replayed(
        self, storage: SlotStorage, feeds: Sequence[Feed], coefficients: Sequence[float]
    ) -> tuple[list[int], list[bool]] | None:
        """The predictions by a recorded pass, where there is one that holds the feeds."""
        if self.record is None or (self.pool is not None and self.pool.kept):
            return None
        graphs = self._graphs
        if graphs is None or graphs.storage is not storage or graphs.pool is not self.pool:
            graphs = self._graphs = Graphs(storage, self.pool, self._fixed, self.record)
        found = graphs.predictions(feeds, coefficients)
        if found is not None:
            self._count(feeds)
        return found

    @torch.inference_mode()
    def _fixed(self, storage: SlotStorage, layout: Layout, column: Tensor) -> Tensor:
        """A pass over fixed memory, which can be recorded: no data goes to or from the host."""
        if self.pool is not None:
            self.pool.set_column(column, column)
        return likeliest(self._run_model(storage, layout))

    def _count(self, feeds: Sequence[Feed]) -> None:
        self.counter.passes += 1
        self.counter.tokens += sum(len(feed.tokens) for feed in feeds)
        self.counter.live_rows += len(feeds)

    def _select_wanted(self, module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
        """Before the output layer: keep the tokens that a prediction is wanted for."""
        return None if self._wanted is None else (args[0][:, self._wanted],)

    def _set_coefficients(
        self, pool: Pool, layout: Layout, feeds: Sequence[Feed], values: Sequence[float]
    ) -> None:
        each: list[float] = []
        for value, feed in zip(values, feeds, strict=True):
            each += [value] * len(feed.tokens)
        column = torch.tensor(each, dtype=torch.float32).to(self.device, non_blocking=True)[:, None]
        pool.set_column(column, column if layout.wanted is None else column[layout.wanted])


def _attention_configs(model: Any) -> list[Any]:
    """The configurations that say how the modules of a model compute attention, each once."""
    configs = {id(model.config): model.config}
    for module in model.modules():
        config = getattr(module, "config", None)
        if isinstance(module, PreTrainedModel) or hasattr(config, "_attn_implementation"):
            configs[id(config)] = config
    return list(configs.values())


def _unsorted(order: Sequence[int], feeds: Sequence[Feed]) -> list[int]:
    """Where the predictions of each feed are, if they come in this order of the feeds."""
    begins = [0] * len(feeds)
    done = 0
    for i in order:
        begins[i] = done
        done += feeds[i].wanted
    return [
        begin + k for begin, feed in zip(begins, feeds, strict=True) for k in range(feed.wanted)
    ]
