"""Watches answers token by token for the moment their verdict is decided.

An Aho-Corasick automaton over bytes reads the tokens and *proposes* to stop; decoding the answer
confirms. A proposal missed or refuted costs time and never changes a verdict.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from safebasin.engines.fast.token_bytes import TokenBytes, token_bytes
from safebasin.stopping import StopRule
from safebasin.thought import Marks

DECODE_EVERY = 8
"""How many tokens pass between decodings where the automaton cannot follow an answer."""


class Automaton:
    """Finds keywords in a stream of bytes: `state = step[state][byte]`, `ACCEPT` once found.

    `ACCEPT` is absorbing, so that a found keyword stays found.
    """

    def __init__(self, keywords: Sequence[bytes]) -> None:
        goto: list[dict[int, int]] = [{}]
        accepting = [False]
        for keyword in keywords:
            state = 0
            for byte in keyword:
                if byte not in goto[state]:
                    goto[state][byte] = len(goto)
                    goto.append({})
                    accepting.append(False)
                state = goto[state][byte]
            accepting[state] = True
        self.accept = len(goto)
        step = np.zeros((len(goto) + 1, 256), dtype=np.int32)
        fail = [0] * len(goto)
        queue = deque([0])
        while queue:
            state = queue.popleft()
            accepting[state] |= accepting[fail[state]]
            if state:
                step[state] = step[fail[state]]
            for byte, following in goto[state].items():
                fail[following] = int(step[fail[state], byte]) if state else 0
                step[state, byte] = following
                queue.append(following)
        step[self.accept] = self.accept
        accepted = np.array([*accepting, True])
        self.step = np.where(accepted[step], self.accept, step)

    def column(self, data: bytes) -> list[int]:
        """Where each state gets to by reading `data`: one column of the table over tokens."""
        states = np.arange(len(self.step))
        for byte in data:
            states = self.step[states, byte]
        return [int(state) for state in states]


@dataclass
class Watched:
    """How far one answer has been read."""

    state: int = 0
    read: int = 0
    refuted: bool = False


class StopTable:
    """Decides after each token of an answer whether its verdict can still change.

    The automaton is folded into a table from (state, token) to state, a column when its token is
    first seen. `decode` turns token ids into text as the answers' own text is made. For a rule on
    answers without their thoughts, `opened` gives the mark by which a prompt opens a thought, and
    `marks` are the model's own.
    """

    def __init__(
        self,
        rule: StopRule,
        tokenizer: Any,
        decode: Callable[[list[int]], str],
        opened: Callable[[list[int]], str] | None = None,
        marks: Marks | None = None,
    ) -> None:
        self.rule = rule
        self.decode = decode
        self.opened = opened
        self.marks = marks
        self.tokens: TokenBytes | None = token_bytes(tokenizer)
        self.automaton = Automaton([self._folded(k.encode()) for k in rule.keywords])
        self._columns: dict[int, list[int]] = {}

    @property
    def follows_tokens(self) -> bool:
        """Whether the automaton can read this tokenizer's tokens."""
        return self.tokens is not None

    def decided(self, watched: Watched, tokens: list[int], start: int) -> bool:
        """Whether the answer tokens[start:], one token more than at the last call, is decided."""
        watched.read += 1
        if self.tokens is None or watched.refuted:
            return watched.read % DECODE_EVERY == 0 and self._confirmed(tokens, start)
        token = tokens[-1]
        column = self._columns.get(token)
        if column is None:
            column = self.automaton.column(self._folded(self.tokens.bytes_of.get(token, b"")))
            self._columns[token] = column
        watched.state = column[watched.state]
        if watched.state != self.automaton.accept or token in self.tokens.fragments:
            return False
        confirmed = self._confirmed(tokens, start)
        if self.rule.answer_only and not confirmed:
            watched.state = 0  # most likely it stands in the thought: look for the next one
        else:
            watched.refuted = not confirmed
        return confirmed

    def _folded(self, data: bytes) -> bytes:
        """Bytes as the automaton compares them; only the letters of ASCII have a case here."""
        return data.lower() if self.rule.ignore_case else data

    def _confirmed(self, tokens: list[int], start: int) -> bool:
        if self.tokens is not None and tokens[-1] in self.tokens.fragments:
            return False
        text = self.decode(tokens[start:])
        if self.rule.answer_only and self.opened is not None:
            text = self.opened(tokens[:start]) + text
        return self.rule.decides(text, self.marks)
