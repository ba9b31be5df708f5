"""What every defended model is held against: the aligned model, the prompts and the judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from safebasin import prompts as prompt_sets
from safebasin.compare.divergence import (
    Answered,
    Divergence,
    answered,
    divergence_at_tokens,
    log_probabilities,
    measured,
)
from safebasin.config import ScanConfig
from safebasin.defence_bench.settings import BenchConfig
from safebasin.directions import Held
from safebasin.engines import Sampling
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.exchange import Exchange, Outcome
from safebasin.judges import Judge, ReadsOrigin, RefusalJudge, check_judges, verdicts_of
from safebasin.plane import Point
from safebasin.prompts import Prompt, PromptSet
from safebasin.prompts.expected import require_expected
from safebasin.reference import everyday_for
from safebasin.study.preparation import (
    checked,
    harmful_prompts,
    judged_by,
    load_with,
    sampled,
    sampling_of,
)
from safebasin.subject.subject import Subject
from safebasin.weights import Weights

DIVERGENT = 24
"""Benign prompts on which the KL is measured, at most."""


@dataclass(frozen=True)
class Yardstick:
    """The aligned model in memory, with what is asked of every other one, and who reads it.

    judges  the one whose attack success counts, first; broken text is told by the likelihood that
            the aligned model gives an answer, on the scale of its own answers
    """

    scan: ScanConfig
    subject: Subject
    harmful: PromptSet
    benign: PromptSet | None
    questions: PromptSet | None
    judges: tuple[Judge, ...]
    sampling: Sampling
    _references: dict[str | None, tuple[list[Answered], list[Tensor]]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: BenchConfig) -> Yardstick:
        """Load the aligned model; raises a SafebasinError that names what is wrong."""
        scan = config.scan
        harmful = sampled(harmful_prompts(scan), scan)
        benign = questions = None
        if (name := config.given("benign")) is not None:
            every = prompt_sets.load(name, unstated="benign")
            only = tuple(prompt for prompt in every if prompt.kind == "benign")
            benign = sampled(replace(every, prompts=only), scan)
        if (name := config.given("capability")) is not None:
            found = require_expected(prompt_sets.load(name, kind="capability"))
            questions = sampled(found, scan)
        check_judges(scan.judges)
        subject = load_with(checked(scan), scan, lambda m: Weights(m, exclude_norms=False))
        asked = [prompt for one in (harmful, benign) if one is not None for prompt in one]
        scan, _, judges = judged_by(subject, scan, asked)
        engine = PlainEngine(subject.model, subject.weights, {}, subject.template, scan.batch)
        made = cls(
            scan, subject, harmful, benign, questions, judges, sampling_of(scan, engine.own_limit)
        )
        everyday = everyday_for({"model": {"name": subject.checkpoint.name}}).prompts
        [(_, answers)] = engine.answers([Point()], everyday, made.sampling)
        read = zip(answers, RefusalJudge().judge(answers), strict=True)
        own = [one for one, verdict in read if verdict.outcome != "refused"]
        scaled = tuple(one.against(own) if isinstance(one, ReadsOrigin) else one for one in judges)
        return replace(made, judges=scaled)

    def engine(self, template: Template) -> PlainEngine:
        """The aligned model, asked by a template."""
        own = self.subject
        return PlainEngine(own.model, own.weights, {}, template, self.scan.batch)

    def outcomes(
        self, judge: Judge, prompts: Sequence[Prompt], exchanges: Sequence[Exchange],
        template: Template,
    ) -> dict[str, Outcome | None]:  # fmt: skip
        """What a judge makes of answers, by prompt; broken text on the aligned model's scale."""
        read = exchanges
        if isinstance(judge, ReadsOrigin):
            read = self.scored(prompts, exchanges, template)
        found = verdicts_of(judge, read)
        return {one.prompt_id: v.outcome for one, v in zip(exchanges, found, strict=True)}

    def scored(
        self, prompts: Sequence[Prompt], exchanges: Sequence[Exchange], template: Template
    ) -> list[Exchange]:
        """The answers with the log-probabilities of their tokens under the aligned model."""
        engine = self.engine(template)
        rows: list[Answered] = []
        for prompt, one in zip(prompts, exchanges, strict=True):
            tokens = template.tokenizer(one.response, add_special_tokens=False)["input_ids"]
            ended = [engine.end_tokens[0]] if one.finish == "eos" and engine.end_tokens else []
            rows.append((template.encode(prompt), [*tokens, *ended]))
        told = [i for i, (_, answer) in enumerate(rows) if answer]
        found = list(exchanges)
        if not told:
            return found
        given = log_probabilities(engine, [rows[i] for i in told], vocabulary_rows(engine.model))
        for i, each in zip(told, given, strict=True):
            tokens = torch.tensor(rows[i][1], device=each.device)
            found[i] = replace(found[i], origin_logprob=None, origin_logprobs=None).scored(
                each.gather(1, tokens[:, None])[:, 0].tolist()
            )
        return found

    def divergence(self, engine: PlainEngine, system: str | None) -> Divergence | None:
        """KL(aligned || defended) on benign prompts, in nats a token of the aligned one's answers.

        engine  of the defended model, whose template may have another system message than `system`,
                which is that of the fine-tune and of the aligned model here
        """
        if self.benign is None:
            return None
        prompts = self.benign.prompts[:DIVERGENT]
        vocabulary = vocabulary_rows(self.subject.model)
        if system not in self._references:
            own = self.subject.template
            asked = self.engine(Template.of(own.tokenizer, self.scan.template, system))
            rows = answered(asked, prompts, self.sampling)
            known = list(log_probabilities(asked, rows, vocabulary, keep=True))
            self._references[system] = rows, known
        rows, known = self._references[system]
        theirs = [
            (engine.template.encode(prompt), answer)
            for prompt, (_, answer) in zip(prompts, rows, strict=True)
        ]
        pairs = zip(prompts, known, log_probabilities(engine, theirs, vocabulary), strict=True)
        each = [
            measured(prompt.id, divergence_at_tokens(ours.to(other.device), other))
            for prompt, ours, other in pairs
        ]
        return Divergence.of(f"{self.benign.name} ({len(each)})", each)

    def back(self, subject: Subject, name: str) -> Held:
        """The direction from a model tuned from the aligned one back to it, at coefficient 1."""
        own = self.subject.weights
        steps = {
            one.name: own.pristine(one.name).float() - subject.weights.pristine(one.name).float()
            for one in subject.weights.parameters
        }
        return Held(name, {key: step for key, step in steps.items() if bool(step.any())})
