"""What one engine is asked in a study: the engine, how it is asked, and where answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.exchange import Exchange
from safebasin.judges import Judge, Lexicon
from safebasin.spread.executor import Recipe
from safebasin.study.engine import settings_elsewhere
from safebasin.study.spread import Spread


class Settings(Protocol):
    """The settings of a study, a dataclass: its own, and those of how its model is asked."""

    @property
    def scan(self) -> ScanConfig: ...

    def to_json(self) -> dict[str, Any]: ...


C = TypeVar("C", bound=Settings)


@dataclass(frozen=True, kw_only=True)
class Work(Generic[C]):
    """What one engine is asked in a study, with nothing asked or written yet.

    identity  what determines the answers, of all run folders alike
    folder    that of the study, in which the run folders lie
    build     builds the engine anew in another process, from settings and `which`
    which     what tells the engine from others of the study
    deciding  the judges by whose rule answers end early; empty where they are kept whole
    held      what stays from one measurement to the next; None where each starts its own
    """

    config: C
    engine: AnyEngine
    sampling: Sampling
    lexicon: Lexicon
    identity: Mapping[str, Any]
    folder: Path
    build: Callable[..., AnyEngine]
    which: tuple[Any, ...] = ()
    deciding: tuple[Judge, ...] = ()
    held: Spread[Exchange] | None = None

    @property
    def spread(self) -> Spread[Exchange]:
        """How the questions are spread, by the study's own settings."""
        if self.held is not None:
            return self.held
        settings: Any = self.config
        scan, day = self.config.scan, self.engine.template.day
        # What a search found is read from its folder, wherever the actor runs.
        alone = replace(
            settings_elsewhere(scan, self.deciding, day), out=str(self.folder.absolute())
        )
        recipe = Recipe(self.build, (replace(settings, scan=alone), *self.which))
        return Spread(scan, recipe)

    @contextmanager
    def kept(self) -> Iterator[Self]:
        """The same for several measurements, over which what is started stays."""
        with self.spread.kept() as spread:
            yield replace(self, held=spread)
