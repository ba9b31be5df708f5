"""Options made of the fields of settings, so that a setting is written once.

A command is a function of what was given and of its own options:

    @bound(WorstCaseConfig, STUDY | {"radius"}, limit={"default": "0"})
    def worst_case(given: Given[WorstCaseConfig], dry_run: DryRunOption = False) -> None:
        run_worst_case(given.settings(), dry_run=dry_run)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import NoneType
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypedDict,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import Option, settings_of

STUDY = frozenset(name for name, (option, _) in settings_of(ScanConfig).items() if option.studies)
"""The settings of a scan that every study has."""

S = TypeVar("S")
P = ParamSpec("P")


class Change(TypedDict, total=False):
    """What an option has in one command otherwise than by its field; as in `Option`.

    The default is what one would type; `...` for none, so that the option has to be given.
    """

    help: str
    name: str
    parse: Callable[[Any], Any]
    reads: type
    default: object


@dataclass(frozen=True)
class Bound:
    """The option of a field of the settings `owner` in one command, and its default there."""

    owner: type
    field: str
    option: Option
    default: object

    @property
    def parameter(self) -> str:
        """What the command's parameter is called; of an argument it is shown."""
        return (self.option.argument and self.option.name) or self.field

    @property
    def declared(self) -> str:
        """How it is given: `--max-asr`."""
        return self.option.name or f"--{self.field.replace('_', '-')}"

    def signature(self) -> inspect.Parameter:
        """The parameter that typer makes the option of."""
        hint, many = _types(self.owner)[self.field], self.option.many
        if type(None) in get_args(hint):
            hint = next(one for one in get_args(hint) if one is not NoneType)
        if self.option.parse is not None:
            kind: Any = self.option.reads
        elif get_origin(hint) is tuple:
            kind, many = get_args(hint)[0], True
        else:
            kind = str if get_origin(hint) is Literal else hint
        kind = Path if self.option.path else kind
        kind = list[kind] if many else kind
        default = inspect.Parameter.empty if self.default is ... else self.default
        about: Any = (
            typer.Argument(help=self.option.help)
            if self.option.argument
            else typer.Option(self.declared, help=self.option.help)
        )
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind | None if default is None else kind, about],
        )

    def read(self, given: Any) -> dict[str, Any]:
        """The settings that a value stands for, by their names. Raises UsageError."""
        hint = _types(self.owner)[self.field]
        if self.option.parse is not None:
            try:
                given = self.option.parse(given)
            except ValueError as error:
                raise UsageError(f"{self.declared} was given '{given}'.", str(error)) from None
        elif get_origin(hint) is Literal and given not in get_args(hint):
            raise UsageError(
                f"{self.declared} was given '{given}'.", f"Give one of {', '.join(get_args(hint))}."
            )
        elif isinstance(given, list):
            given = tuple(map(str, given))
        elif isinstance(given, Path):
            given = str(given)
        return given if isinstance(given, dict) else {self.field: given}


@dataclass(frozen=True)
class Given(Generic[S]):
    """What a command was given of its settings, and of those of the scan inside them.

    raw    the values by the names of the fields, as typer read them; None for what was not given
    named  the fields that stood on the command line, and are not defaults
    """

    kind: type[S]
    options: tuple[Bound, ...]
    raw: Mapping[str, Any]
    named: Collection[str]

    def values(self, owner: type, only: Collection[str] | None = None) -> dict[str, Any]:
        """The settings of a class that were given, of these fields only where there are some.

        Raises UsageError for a text that stands for none.
        """
        found: dict[str, Any] = {}
        for one in self.options:
            given = self.raw[one.field]
            if one.owner is owner and given is not None and (only is None or one.field in only):
                found |= one.read(given)
        return found

    def scan(self) -> ScanConfig:
        """The settings of the scan. Raises UsageError."""
        from safebasin.spread.shards import Shard

        scan = ScanConfig.from_json(self.values(ScanConfig))
        if scan.shard is not None:
            Shard.parse(scan.shard)
        return scan

    def refuse(self, fields: Collection[str], without: str) -> None:
        """Raise UsageError for those of the options that were given and would do nothing."""
        idle = [one.declared for one in self.options if one.field in {*fields} & {*self.named}]
        if idle:
            names = " and ".join(idle)
            raise UsageError(
                f"Without {without}, {names} would do nothing.",
                f"Give {without}, or leave out {names}.",
            )

    def settings(self, **other: Any) -> S:
        """The settings of the command, with `other` in the place of what was given."""
        scan = {"scan": self.scan()} if "scan" in inspect.signature(self.kind).parameters else {}
        return self.kind(**scan | self.values(self.kind) | other)


def bound(
    kind: type[S], scan: Collection[str] = (), /, **changes: Change
) -> Callable[[Callable[Concatenate[Given[S], P], None]], Callable[..., None]]:
    """A command with an option for each setting of a class, and for some of a scan.

    kind     the settings of the command; a field without an option is left to the command
    scan     the fields of `ScanConfig` that it takes besides
    changes  by the name of the field, what its option has otherwise here
    """
    names: list[tuple[type, str]] = [(kind, name) for name in settings_of(kind)]
    names += [(ScanConfig, name) for name in settings_of(ScanConfig) if name in scan]
    options = [_bound(owner, name, changes.get(name, {})) for owner, name in names]
    # The model comes before what it is held against, and a command's own options before the scan's.
    options.sort(
        key=lambda o: (not o.option.argument, o.option.argument != (o.owner is ScanConfig))
    )
    known = {one.field for one in options}
    if unknown := sorted({*scan, *changes} - known):
        raise ValueError(f"There are no options of {', '.join(unknown)}.")
    if len(known) < len(options):
        raise ValueError(f"{kind.__name__} and ScanConfig have a setting of the same name.")
    return lambda function: _command(function, kind, options)


_types = cache(get_type_hints)


def _bound(owner: type, field: str, change: Change) -> Bound:
    own, value = settings_of(owner)[field]
    others = {name: one for name, one in change.items() if name != "default"}
    option = replace(own, **others)  # type: ignore[arg-type]
    if "default" in change:
        return Bound(owner, field, option, change["default"])
    if (isinstance(value, tuple) and option.parse is None) or option.many:
        value = None
    elif option.parse is not None and value is not None:
        value = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return Bound(owner, field, option, value)


def _command(
    function: Callable[..., None], kind: type, options: list[Bound]
) -> Callable[..., None]:
    def command(context: typer.Context, **values: Any) -> None:
        raw = {one.field: values.pop(one.parameter) for one in options}
        places = {one.field: context.get_parameter_source(one.parameter) for one in options}
        named = [name for name, place in places.items() if place and place.name == "COMMANDLINE"]
        function(Given(kind, tuple(options), raw, named), **values)

    context, _ = inspect.signature(command).parameters.values()
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    parameters = [
        context.replace(annotation=typer.Context),
        *(one.signature() for one in options),
        *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own),
    ]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.options = tuple(options)  # type: ignore[attr-defined]
    return command
