"""What determines the answers of a run, of which a part may take long to compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Late:
    """A value that is computed when it is first asked for, and once."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute
        self._found: list[Any] = []

    def value(self) -> Any:
        if not self._found:
            self._found.append(self._compute())
        return self._found[0]


class Identity(Mapping[str, Any]):
    """The identity of a run by name; a value of it that is `Late` is computed when it is read.

    So the digests of directions, for which all of their numbers are drawn, cost nothing where they
    are not asked for.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = dict(
            values._values if isinstance(values, Identity) else values
        )

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        return value.value() if isinstance(value, Late) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __or__(self, others: Mapping[str, Any]) -> Identity:
        return Identity({**self._values, **others})

    def mapped(self, change: Callable[[Any], Any]) -> Identity:
        """The same with every value changed but those that are late."""
        return Identity(
            {
                name: value if isinstance(value, Late) else change(value)
                for name, value in self._values.items()
            }
        )
