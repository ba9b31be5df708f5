"""What a judge is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from safebasin.exchange import Exchange, Verdict
from safebasin.stopping import StopRule

Measure = Literal["refusal", "outcome", "coherence", "harm"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@runtime_checkable
class Judge(Protocol):
    """Reads exchanges, one verdict each, in order.

    `name` is one line without commas, under which the verdicts are stored. `measures` says which
    outcomes it can tell apart: "refusal" knows refused and complied, "coherence" knows incoherent
    only (None otherwise), "outcome" knows all three, and "harm" calls harmful answers complied and
    others refused. What it cannot judge has outcome None and a reason; it never guesses and never
    raises for an answer's content. `Exchange.answer` is what is to be judged,
    `Exchange.unanswered` why there is nothing; `Exchange.response` has a reasoning model's thought
    in it.
    """

    @property
    def name(self) -> str: ...

    @property
    def measures(self) -> Measure: ...

    def spec(self) -> Mapping[str, object]:
        """Everything that determines the verdicts, as JSON values, and the same at every call.

        It is stored with them: verdicts by another specification are another judge's.
        """
        ...

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]: ...


@runtime_checkable
class DecidesEarly(Protocol):
    """A judge whose verdict can be decided before an answer ends."""

    def stop_rule(self) -> StopRule | None:
        """When it is; None where it never is, so that answers have to be whole."""
        ...


def common_stop_rule(judges: Sequence[Judge]) -> StopRule | None:
    """The rule by which answers may end early without changing a verdict of any of these judges.

    None where a judge reads whole answers, or where two decide at different places.
    """
    rules = {judge.stop_rule() if isinstance(judge, DecidesEarly) else None for judge in judges}
    return rules.pop() if len(rules) == 1 else None


@runtime_checkable
class AsksAgain(Protocol):
    """A judge that may fail for a time, and costs: a model behind an endpoint."""

    def again(self, verdict: Verdict) -> bool:
        """Whether a stored verdict is to be asked for once more."""
        ...

    def budget(self, answers: int, characters: int | None = None) -> str:
        """What judging so many answers takes, for people to see before it starts."""
        ...


def budget_for(judge: AsksAgain, exchanges: Sequence[Exchange]) -> str:
    """What judging these exchanges takes. Empty answers are not asked for, nor are thoughts."""
    asked = [exchange for exchange in exchanges if exchange.answer.strip()]
    characters = sum(len(exchange.prompt) + len(exchange.answer) for exchange in asked)
    return judge.budget(len(asked), characters)


@runtime_checkable
class ReadsOrigin(Protocol):
    """A judge that holds answers against the undisplaced model's own answers in the same run."""

    def against(self, answers: Sequence[Exchange]) -> Judge:
        """The same judge, of the same specification, with these answers to hold others against."""
        ...


@dataclass(frozen=True)
class Footprint:
    """What a judge's model needs in memory before it can be loaded, and what there is, in bytes.

    device  where it is loaded, as torch names it: "cpu", "cuda:0"
    needs   its weights; 0 where they are loaded already
    free    what is free there now
    """

    device: str
    needs: int
    free: int


@runtime_checkable
class HoldsModel(Protocol):
    """A judge that keeps a model in memory from its first verdict on."""

    def footprint(self) -> Footprint:
        """What loading the model takes. Nothing is loaded."""
        ...

    def load(self) -> None:
        """Load the model now, so that whoever plans by the free memory counts it."""
        ...

    def unload(self) -> None:
        """Give the memory back; the next verdict loads the model again."""
        ...
