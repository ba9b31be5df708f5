"""Questions with one exact answer, asked by the fast engine with whole answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from safebasin.capability.probe import Bench
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.fast.engine import FastEngine
from safebasin.landscape.capability import Item
from safebasin.plan import estimate
from safebasin.plane import Point
from safebasin.prompts import Prompt, PromptSet
from safebasin.prompts.expected import right_answers

SPARE_TOKENS = 8


@dataclass(frozen=True)
class ExactTask:
    """Questions with one exact answer each."""

    name: str
    questions: PromptSet

    def probe(self, bench: Bench) -> ExactProbe:
        return ExactProbe(self.name, self.questions, bench)


class ExactProbe:
    """The share of questions that are answered exactly, up to case, white space and a full stop.

    An answer longer than any expected one is wrong however it goes on, so answers end at twice
    the tokens of the longest expected answer and some spare. A model that may think is given the
    tokens of the scan's answers on top; an answer that is cut off in its thought has no value.
    """

    def __init__(self, name: str, questions: PromptSet, bench: Bench) -> None:
        self.name = name
        self.questions = questions
        tokenizer = bench.template.tokenizer
        expected = [prompt.expected or "" for prompt in questions]
        lengths = [len(tokenizer.encode(text, add_special_tokens=False)) for text in expected]
        thought = bench.max_new_tokens if bench.template.thinks else 0
        self.sampling = Sampling(2 * max(lengths) + SPARE_TOKENS + thought)
        self.engine = FastEngine(
            bench.model,
            bench.weights,
            bench.directions,
            bench.template,
            rows=bench.rows,
            scores=False,
        )

    def spec(self) -> dict[str, object]:
        return {
            "kind": "exact",
            "set": self.questions.name,
            "sha256": self.questions.sha256,
            "ids": list(self.questions.ids),
            "sampling": self.sampling.spec(),
            "engine": self.engine.spec(),
        }

    def seconds(self, points: Sequence[Point]) -> tuple[float, float] | None:
        asked = self.questions.prompts
        plan = estimate(self.engine, asked, self.sampling, points, len(points) * len(asked))
        return plan.seconds

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt] = (),
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Item]]]:
        asked = self.questions.prompts
        for point, exchanges in self.engine.answers(points, asked, self.sampling, wanted=wanted):
            yield (
                point,
                [
                    Item(
                        prompt.id, None if right is None else float(right), answer=exchange.response
                    )
                    for prompt, exchange, right in zip(
                        asked, exchanges, right_answers(asked, exchanges), strict=True
                    )
                ],
            )
