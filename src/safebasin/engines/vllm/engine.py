"""The vLLM engine: vLLM answers, with weights that are displaced here and streamed into it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from safebasin.directions import Direction
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.broken_logits import no_numbers
from safebasin.engines.fast.support import differ
from safebasin.engines.model_shape import most_positions
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm.lora_requests import adapter_line
from safebasin.engines.vllm.scores import token_logprobs
from safebasin.engines.vllm.session import (
    Generated,
    Session,
    Slots,
    require_as_stored,
    require_vllm,
)
from safebasin.engines.vllm.weight_stream import named_tensors
from safebasin.errors import EngineError
from safebasin.exchange import Exchange, Finish
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.stopping import StopRule
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)

MOST_ROWS = 256
"""How many rows are answered at a time where nothing else is asked for."""

MOST_POINTS = 8
"""How many points along an adapter share a batch: each takes a slot of vLLM's memory."""

LENGTH_STEP = 256
"""Lengths are rounded up to a multiple of this, so that longer prompts seldom mean a new start."""

_FINISH: dict[str, Finish] = {"eos": "eos", "length": "length", "stop": "verdict"}


class VllmEngine:
    """Answers greedily with vLLM; the model itself stays in host memory.

    stop    ends an answer when its verdict is decided; None keeps answers whole. vLLM's stop texts
            neither ignore case nor tell a thought from an answer, so a rule that does is not used.
            What vLLM proposes is confirmed on the decoded answer; an answer that is not is asked
            again, whole.
    rows    how many rows are answered at a time; None takes what is useful
    scores  whether answers are scored under the undisplaced model, which takes another transfer of
            the weights at each point. Where they are not, `origin_logprob` is None, and the
            coherence judge goes by its word list.
    device  where the user wants vLLM to work; None for where it does
    tensor_parallel  over how many GPUs of this machine vLLM divides the model; each of its
            workers is sent all weights and keeps its part

    Where all points lie along one LoRA adapter that vLLM's LoRA covers, the weights go to vLLM
    once. Each point is a LoRA request, the adapter scaled by the point's coefficient, and rows of
    several points share a batch. The low-rank part is then added in the model's dtype, not rounded
    into the weights. At all other points every weight is computed here, by the rules of
    `Weights`, and streamed to vLLM, whose prefix cache is emptied; `streamed` says why.

    At the origin and at a displaced point the log-probabilities of one prompt are compared with
    the model's own, so that a weight that vLLM ignores or misplaces does not go unnoticed. Where
    vLLM does not take the adapter, or computes something else with it, weights are streamed. vLLM
    starts when it is first needed and is kept.

    Its kernels round otherwise than transformers' do: verdicts in float32 are expected, and on the
    packaged model proven, to be those of the plain engine, but not every bit behind them.

    Raises EngineError where vLLM is not installed, cannot run the model, or stops running.
    """

    name = "vllm"
    own_process = True
    ends_early = True

    def __init__(
        self,
        model: Any,
        weights: Weights,
        directions: Mapping[str, Direction],
        template: Template,
        *,
        stop: StopRule | None = None,
        rows: int | None = None,
        scores: bool = True,
        device: str | None = None,
        trust_remote_code: bool = False,
        tensor_parallel: int = 1,
    ) -> None:
        require_vllm()
        if model.device.type != "cpu":
            raise EngineError(
                f"vLLM needs the memory of {model.device}, where the model lies.",
                "Give --engine fast here.",
            )
        require_as_stored(model, trust_remote_code=trust_remote_code)
        self.plain = PlainEngine(model, weights, directions, template)
        self.model = model
        self.weights = weights
        self.directions = self.plain.directions
        self.template = template
        self.asked_stop = stop
        self.stop = None if stop is None or stop.ignore_case or stop.answer_only else stop
        self.rows = rows
        self.scores = scores
        self.device = device
        self.trust_remote_code = trust_remote_code
        self.tensor_parallel = tensor_parallel
        self.load_seconds = 0.0  # what the last transfer of the weights took
        self.line, self.streamed = adapter_line(model, weights, self.directions)
        self._session: Session | None = None
        self._loaded: Point | None = None
        self._compared: set[bool] = set()

    @property
    def own_limit(self) -> int | None:
        """The limit of new tokens that the checkpoint asks for, if it does."""
        return self.plain.own_limit

    def spec(self) -> dict[str, object]:
        early = {} if self.stop is None else {"stop": self.stop.spec()}
        return {**self.plain.spec(), **early, "kernels": "vllm"}

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
        self.plain.check(prompts, encoded, sampling)
        session = self.start(prompts, sampling)
        probe = min(encoded, key=len)
        if self.line is not None and not self._takes_adapter(session, points, probe):
            session = self.start(prompts, sampling)
        for group in self._groups(points):
            asked = [point for point in group if wanted is None or wanted(point)]
            if not asked:
                continue
            with self._closed_on_failure():
                with self._at(session, asked, probe) as adapters:
                    rows = self._generate(
                        session,
                        encoded * len(asked),
                        sampling,
                        [adapter for adapter in adapters for _ in prompts],
                        self.plain.ends.of(asked[0]),
                    )
                found = self._exchanges(asked, prompts, encoded, rows)
                if progress is not None:
                    for point, exchanges in found:
                        progress(point, exchanges)
                if self.scores:
                    self._load(session, Point(), probe)
                    answers = [row.tokens for row in rows]
                    scores = iter(token_logprobs(session, encoded * len(asked), answers))
                    scored = []
                    for point, exchanges in found:
                        own = [next(scores) for _ in exchanges]
                        if point.is_origin:
                            self.plain.require_numbers(prompts, own)
                        pairs = zip(exchanges, own, strict=True)
                        scored.append((point, [one.scored(score) for one, score in pairs]))
                    found = scored
            yield from found

    def start(self, prompts: Sequence[Prompt], sampling: Sampling) -> Session:
        """The running vLLM, started, or started anew where it takes shorter rows only."""
        longest = max(len(self.template.encode(prompt)) for prompt in prompts)
        length = longest + sampling.max_new_tokens
        if self._session is not None and self._session.length >= length:
            return self._session
        self.close()
        limit = most_positions(self.model) or length
        # One token more: a row that is scored leaves room for the token that vLLM always adds.
        rounded = -(-(length + 1) // LENGTH_STEP) * LENGTH_STEP
        self._session = self._started(len(prompts), max(length, min(rounded, limit)))
        wanted, found = (self.device or "").partition(":")[0], self._session.device
        if wanted and wanted != found:
            self.close()
            raise EngineError(
                f"This vLLM works on {found}, not on '{self.device}'.",
                "Leave out --device, or install vLLM's build for that device.",
            )
        return self._session

    def _started(self, prompts: int, length: int) -> Session:
        if self.line is not None:
            slots = Slots(MOST_POINTS, self.line.rank, self.line.modules)
            rows = self.rows or min(prompts * MOST_POINTS, MOST_ROWS)
            try:
                return self._session_of(length, rows, slots)
            except EngineError as error:
                self._stream_because(error)
        rows = self.rows or min(prompts, MOST_ROWS)
        return self._session_of(length, rows)

    def _session_of(self, length: int, rows: int, slots: Slots | None = None) -> Session:
        return Session(
            self.model,
            length,
            rows,
            trust_remote_code=self.trust_remote_code,
            slots=slots,
            tensor_parallel=self.tensor_parallel,
        )

    def close(self) -> None:
        """End vLLM's processes, where there are any."""
        if self._session is not None:
            self._session.close()
        self._session = self._loaded = None
        self._compared.clear()

    def free(self) -> None:
        """Close vLLM and give back the memory of the model; nothing can be asked any more."""
        self.close()
        self.plain.free()

    def settle(
        self, points: Sequence[Point], prompts: Sequence[Prompt], sampling: Sampling
    ) -> None:
        """vLLM is not copied, and chooses when it starts."""

    def plan_text(self) -> str:
        """One line for people, and one for each thing worth knowing."""
        session = self._session
        where = "" if session is None else f" {session.version} on {session.device}"
        if self.tensor_parallel > 1:
            where += f" over {self.tensor_parallel} GPUs"
        rows = "" if session is None else f", {session.rows} rows at a time"
        if self.line is not None:
            lines = [
                f"up to {MOST_POINTS} points at a time with vLLM{where}{rows}; "
                "each is a LoRA request",
                f"weights are streamed once: '{self.line.name}' is an adapter that vLLM's LoRA "
                f"covers, of rank {self.line.rank}",
            ]
        else:
            lines = [
                f"one point after another with vLLM{where}{rows}; weights are streamed into it",
                f"points are no LoRA requests: {self.streamed}",
            ]
        if self.asked_stop is not None and self.stop is None:
            lacks = "ignore case" if self.asked_stop.ignore_case else "leave out a thought"
            lines.append(f"answers stay whole: vLLM's stop texts cannot {lacks}")
        if self.scores and self.line is None:
            lines.append("the weights go twice a point: answers are scored at the origin")
        return "\n  ".join(lines)

    def _groups(self, points: Sequence[Point]) -> Iterator[list[Point]]:
        """The points in their order, as many together as are asked at a time."""
        ends = self.plain.ends
        for (is_origin, _), run in groupby(points, key=lambda p: (p.is_origin, ends.of(p))):
            same = list(run)
            size = 1 if self.line is None or is_origin else MOST_POINTS
            yield from (same[i : i + size] for i in range(0, len(same), size))

    @contextmanager
    def _at(
        self, session: Session, group: Sequence[Point], probe: list[int]
    ) -> Iterator[list[int]]:
        """Bring vLLM to these points: the adapter of each, or none where its weights are those."""
        if self.line is None or group[0].is_origin:
            [point] = group
            self._load(session, point, probe)
            yield []
            return
        self._load(session, Point(), probe)
        with TemporaryDirectory(prefix="safebasin-") as folder:
            values = [value for point in group for _, value in point.terms]
            yield [
                session.adopt(self.line.write(Path(folder) / str(i), value))
                for i, value in enumerate(values)
            ]

    def _takes_adapter(self, session: Session, points: Sequence[Point], probe: list[int]) -> bool:
        """Whether vLLM, under the adapter at the farthest of these points, computes what the
        model does when it is displaced there. If not, it is closed, and weights are streamed."""
        point = max(points, key=lambda point: point.distance, default=Point())
        if point.is_origin or False in self._compared:
            return True
        with self._closed_on_failure():
            self._load(session, Point(), probe)
        try:
            with self._at(session, [point], probe) as adapters, self._displaced(point):
                self._compare(session, probe, adapters)
        except EngineError as error:
            self.close()
            self._stream_because(error)
            return False
        self._compared.add(False)
        return True

    def _stream_because(self, error: EngineError) -> None:
        self.line, self.streamed = None, error.message.rstrip(".")
        LOG.warning("weights are streamed, points are no LoRA requests: %s", self.streamed)

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            yield
        except EngineError:
            self.close()  # what has failed is not asked again
            raise

    def _displaced(self, point: Point) -> AbstractContextManager[None]:
        terms = [(value, self.directions[name]) for name, value in point.terms]
        return self.weights.displaced(terms) if terms else nullcontext()

    def _load(self, session: Session, point: Point, probe: list[int]) -> None:
        """Bring vLLM's weights to a point, where they are not there already."""
        if self._loaded == point:
            return
        self._loaded = None
        start = time.perf_counter()
        with self._displaced(point):
            session.load(named_tensors(self.model))
            self.load_seconds = time.perf_counter() - start
            if point.is_origin not in self._compared:
                self._compare(session, probe, at_origin=point.is_origin)
                self._compared.add(point.is_origin)
        self._loaded = point

    @torch.inference_mode()
    def _compare(
        self,
        session: Session,
        probe: list[int],
        adapters: Sequence[int] = (),
        *,
        at_origin: bool = False,
    ) -> None:
        """Raise EngineError where vLLM computes something else than the model as it is now.

        At the origin also where the model's logits are no numbers.
        """
        tokens = probe if len(probe) > 3 else (probe * 4)[: session.length - 1]
        logits = self.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, :-1]
        chosen = torch.tensor(tokens[1:]).unsqueeze(1)
        expected = logits.float().log_softmax(-1).gather(1, chosen).squeeze(1)
        if at_origin and expected.isnan().any():
            raise no_numbers(self.model)
        [found] = session.score([tokens], adapters)
        if differ(torch.tensor(found), expected, self.model.dtype):
            raise EngineError(
                "vLLM computes something else with these weights than transformers does.",
                "Give --engine fast or plain.",
            )

    def _generate(
        self,
        session: Session,
        encoded: Sequence[list[int]],
        sampling: Sampling,
        adapters: Sequence[int],
        ends: Sequence[int],
    ) -> list[Generated]:
        limit, stop = sampling.max_new_tokens, self.stop
        if stop is None:
            return session.generate(encoded, limit, ends, adapters=adapters)
        rows = session.generate(encoded, limit, ends, stop.keywords, adapters)
        refuted = [
            i
            for i, row in enumerate(rows)
            if row.end == "stop" and not stop.decides(self.template.decode(row.tokens))
        ]
        if refuted:
            whole = session.generate(
                [encoded[i] for i in refuted],
                limit,
                ends,
                adapters=[adapters[i] for i in refuted] if adapters else [],
            )
            for i, row in zip(refuted, whole, strict=True):
                rows[i] = row
        return rows

    def _exchanges(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        encoded: Sequence[list[int]],
        rows: Sequence[Generated],
    ) -> list[tuple[Point, list[Exchange]]]:
        """The rows, of all prompts at each point in turn, as exchanges."""
        count = len(prompts)
        return [
            (
                point,
                [
                    self.template.exchange(prompt, tokens, row.tokens, _FINISH[row.end])
                    for prompt, tokens, row in zip(
                        prompts, encoded, rows[i * count : (i + 1) * count], strict=True
                    )
                ],
            )
            for i, point in enumerate(points)
        ]
