"""Judges that ask a model behind an OpenAI-compatible endpoint to grade by a rubric."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from safebasin.errors import JudgeError, UsageError
from safebasin.exchange import Exchange, Verdict
from safebasin.judges.endpoint import OPENAI, Endpoint
from safebasin.judges.endpoint_calls import ask
from safebasin.judges.endpoint_reply import DECLINES, Reply
from safebasin.judges.endpoint_request import FIRST_LIMIT, MOST_TOKENS
from safebasin.judges.protocol import Measure
from safebasin.judges.refusal import RefusalJudge
from safebasin.judges.rubrics import RUBRICS, Rubric
from safebasin.thought import CUT, ENDED

FORM = "rubric:NAME@MODEL?base_url=https://HOST/v1&concurrency=8"
_CHARACTERS_A_TOKEN = 4
_TYPICAL_ANSWER = 400
_SHORT_REPLY = 600
"""Characters that a judge model takes to decline; what is longer argues about the answer."""
_NUMBERS = {"concurrency": int, "retries": int, "max_calls": int, "timeout": float, "patience": int}


@dataclass(frozen=True)
class RubricJudge:
    """Grades each answer by one call. What got no readable grade is not judged, with the reason.

    Unjudged answers are asked again the next time; an empty answer, or one cut off in its
    thought, is not asked at all. `live` is
    False for a judge rebuilt from a run, which reads its stored verdicts and calls nobody.
    `with_schema` asks for replies in JSON schema; an endpoint that says that it does not know this,
    or the temperature 0, is asked without, and the reasons of its verdicts say so.
    """

    rubric: Rubric
    endpoint: Endpoint
    with_schema: bool = True
    live: bool = True

    @property
    def name(self) -> str:
        return f"rubric:{self.rubric.name}@{self.endpoint.model}"

    @property
    def measures(self) -> Measure:
        return "harm"

    def spec(self) -> Mapping[str, object]:
        return {
            "type": "rubric",
            "name": self.name,
            "rubric": self.rubric.name,
            "rubric_sha256": self.rubric.sha256,
            "policy": self.rubric.policy,
            "model": self.endpoint.model,
            "base_url": self.endpoint.base_url,
            "schema": self.with_schema,
            "temperature": 0,
            "max_tokens": FIRST_LIMIT,
        }

    def again(self, verdict: Verdict) -> bool:
        """Whether a stored verdict is to be asked for once more."""
        final = ("empty", CUT, ENDED)  # nothing was asked, and nothing would be
        return self.live and verdict.outcome is None and verdict.reason not in final

    def budget(self, answers: int, characters: int | None = None) -> str:
        """What judging so many answers takes; `characters` is their length with the prompts'."""
        if characters is None:
            characters = answers * _TYPICAL_ANSWER
        told = sum(len(message["content"]) for message in self.rubric.messages("", ""))
        tokens = (characters + answers * told) // _CHARACTERS_A_TOKEN
        limit = f", at most {self.endpoint.max_calls}" if self.endpoint.max_calls else ""
        text = (
            f"{self.name}: {answers} calls{limit} to {self.endpoint.base_url}, about {tokens} "
            f"tokens in and up to {answers * FIRST_LIMIT} out, {self.endpoint.concurrency} at a "
            f"time; a reply that is cut off is asked for again, with up to {MOST_TOKENS} tokens"
        )
        if self.endpoint.exposed:
            text += "; WARNING: key and answers travel unencrypted, use https"
        return text

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        if not self.live:
            return [Verdict(None, "not asked: name the judge with --judge") for _ in exchanges]
        if not any(exchange.answer.strip() for exchange in exchanges):
            return [Verdict(None, exchange.unanswered or "empty") for exchange in exchanges]
        with self.endpoint.client() as client:
            pool = ThreadPoolExecutor(self.endpoint.concurrency)
            try:
                return list(pool.map(lambda exchange: self._verdict(client, exchange), exchanges))
            finally:
                # Ctrl-C does not wait for calls that have not begun.
                pool.shutdown(wait=False, cancel_futures=True)

    def _verdict(self, client: Any, exchange: Exchange) -> Verdict:
        if not exchange.answer.strip():
            return Verdict(None, exchange.unanswered or "empty")
        messages = self.rubric.messages(exchange.prompt, exchange.answer)
        schema = self.rubric.schema() if self.with_schema else None
        # A judge that quotes a grade from what it is shown must not be taken at its word.
        quotable = any(map(self.rubric.found_in, (exchange.prompt, exchange.answer)))
        return ask(
            self.endpoint, client, messages, schema, lambda reply: self._read(reply, quotable)
        )

    def _read(self, reply: Reply, quotable: bool) -> Verdict:
        text = reply.text or ""
        verdict = self.rubric.parse(text, alone=reply.alone or quotable, cut=reply.cut)
        if verdict.outcome is None and not reply.cut and len(text) <= _SHORT_REPLY:
            [words] = RefusalJudge().judge([Exchange("", "", text, "eos", 0, 0)])
            if words.outcome == "refused" and "{" not in text:
                return Verdict(None, DECLINES)
        return verdict


def parse(text: str) -> RubricJudge:
    """The judge that `NAME@MODEL?option=value&...` describes, ready to ask.

    Options: base_url (else OPENAI_BASE_URL, else OpenAI), key_env, concurrency, timeout, retries,
    max_calls, patience, schema=off. Raises UsageError for what cannot be meant, JudgeError where
    the key or the openai library is missing.
    """
    head, _, query = text.partition("?")
    name, at, model = head.partition("@")
    if name not in RUBRICS:
        raise UsageError(
            f"There is no rubric '{name[:40]}'.", f"There are {', '.join(RUBRICS)}: give {FORM}."
        )
    if not at or not model:
        raise UsageError(f"The rubric judge '{name}' names no model.", f"Give {FORM}.")
    options = dict(parse_qsl(query, keep_blank_values=True))
    schema = options.pop("schema", "on")
    settings: dict[str, Any] = {"base_url": os.environ.get("OPENAI_BASE_URL") or OPENAI}
    for option, value in options.items():
        if option == "base_url":
            settings["base_url"] = value
        elif option == "key_env":
            settings["key_name"] = value
        elif option in _NUMBERS:
            try:
                settings[option] = _NUMBERS[option](value)
            except ValueError:
                raise UsageError(f"'{option}={value[:40]}' is no number.", "Correct it.") from None
        else:
            known = ("base_url", "key_env", *_NUMBERS, "schema")
            raise UsageError(
                f"A rubric judge has no option '{option[:40]}'.", f"There are {', '.join(known)}."
            )
    if schema not in ("on", "off"):
        raise UsageError(f"'schema={schema[:40]}' cannot be meant.", "Give schema=on or off.")
    judge = RubricJudge(RUBRICS[name], Endpoint(model, **settings), schema == "on")
    judge.endpoint.client().close()
    return judge


def rebuild(spec: Mapping[str, object]) -> RubricJudge:
    """The judge of a stored specification, which asks nobody.

    Raises JudgeError where the specification is not whole.
    """
    rubric, model, base_url, schema = (
        spec.get(key) for key in ("rubric", "model", "base_url", "schema")
    )
    if (
        not isinstance(rubric, str)
        or rubric not in RUBRICS
        or not isinstance(model, str)
        or not isinstance(base_url, str)
        or not isinstance(schema, bool)
    ):
        raise JudgeError("The specification of the rubric is not whole.", "Take it from a run.")
    return replace(RubricJudge(RUBRICS[rubric], Endpoint(model, base_url), schema), live=False)
