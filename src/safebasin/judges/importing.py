"""Judges of one's own by an import path: `package.module:name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safebasin.errors import JudgeError, SafebasinError, UsageError
from safebasin.judges.lexicon import Lexicon
from safebasin.judges.protocol import Judge
from safebasin.judges.soundness import require_judge
from safebasin.terminal import shorten

FORM = "MODULE:NAME, such as my_judges:shy for `shy` of my_judges.py in this folder"
_LEXICON = "lexicon"


def is_import_path(text: str) -> bool:
    """Whether the text before the colon is dotted, or a module that can be imported from here."""
    module, colon, name = text.partition(":")
    if not colon or not name:
        return False
    if "." in module:
        return True
    if not module.isidentifier():
        return False
    if module in sys.modules:
        return True
    with _from_here():
        return importlib.util.find_spec(module) is not None


def import_judge(text: str, lexicon: Lexicon | None = None) -> Judge:
    """The judge that `module:name` leads to: an object, or what a class or a function gives.

    A class or function is called without arguments, or with the lexicon where it takes exactly one
    or has a parameter of that name. The folder of the command is looked in first. Raises UsageError
    where there is nothing of that name, JudgeError where importing or calling it fails or what it
    gives is no judge.
    """
    module_name, _, name = text.partition(":")
    found: Any = _module(module_name, text)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            close = difflib.get_close_matches(part, dir(found), n=1)
            meant = f"Did you mean {close[0]}? " if close else ""
            raise UsageError(
                f"The module '{module_name}' has no '{shorten(name, 60)}'.", f"{meant}Give {FORM}."
            ) from None
    if callable(found) and (isinstance(found, type) or not _looks_like_a_judge(found)):
        found = _made(found, text, lexicon)
    return require_judge(found, f"The judge '{shorten(text, 80)}'")


def call_factory(
    factory: Callable[..., object], arguments: dict[str, object] | tuple[object, ...], what: str
) -> object:
    """What the factory gives. Raises JudgeError where it fails."""
    try:
        return factory(**arguments) if isinstance(arguments, dict) else factory(*arguments)
    except SafebasinError:
        raise
    except (Exception, SystemExit) as error:
        raise JudgeError(
            f"{what} cannot be built: {type(error).__name__}: {shorten(str(error), 200)}.",
            "Correct what gives it, or the package that provides it.",
        ) from error


def _looks_like_a_judge(value: object) -> bool:
    # Objects may be callable, too.
    return all(hasattr(value, part) for part in ("measures", "spec", "judge"))


def _made(factory: Callable[..., object], text: str, lexicon: Lexicon | None) -> object:
    what = f"The judge '{shorten(text, 80)}'"
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # some of those written in C
        return call_factory(factory, (), what)
    single = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [one for one in parameters if one.default is one.empty and one.kind not in single]
    named = [one for one in parameters if one.name == _LEXICON and one.kind not in single]
    others = [one.name for one in required if one not in named]
    if named and not others:
        if named[0].kind is inspect.Parameter.POSITIONAL_ONLY:
            return call_factory(factory, (lexicon,), what)
        return call_factory(factory, {_LEXICON: lexicon}, what)
    if len(required) == 1 and required[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        return call_factory(factory, (lexicon,), what)
    if required:
        needed = ", ".join(one.name for one in required)
        raise JudgeError(
            f"{what} cannot be built: it needs the arguments {needed}.",
            "Name a function without arguments, or with the lexicon alone, that gives the judge.",
        )
    return call_factory(factory, (), what)


def _module(name: str, text: str) -> Any:
    """The module of that name. Raises UsageError where there is none, JudgeError where it fails."""
    if all(part.isidentifier() for part in name.split(".")):
        try:
            with _from_here():
                return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing != name and not name.startswith(f"{missing}."):
                raise _broken(name, error) from error
        except (Exception, SystemExit) as error:
            raise _broken(name, error) from error
    raise UsageError(
        f"There is no module '{shorten(name, 60)}' to take the judge '{shorten(text, 80)}' from.",
        f"Give {FORM}, or install the package that holds it.",
    )


def _broken(name: str, error: BaseException) -> JudgeError:
    told = shorten(str(error), 200)
    return JudgeError(
        f"The module '{name}' of a judge cannot be imported: {type(error).__name__}: {told}.",
        "Correct the module, or install what it imports.",
    )


@contextmanager
def _from_here() -> Iterator[None]:
    """Modules in the folder of the command can be imported, before all others within the block.

    Afterwards they come last, so that a judge finds its neighbours while it works and no file in
    that folder takes the place of a library.
    """
    here = str(Path.cwd())
    importlib.invalidate_caches()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)
