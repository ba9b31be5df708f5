"""Hooks that are there while a context lasts, and gone after it in whatever way it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

Hook = Callable[[nn.Module, Any, Any], Any]
"""From (module, its positional arguments, its output) to a new output, or None to leave it."""


Entry = Callable[[nn.Module, Any, Any], None]
"""From (module, its positional arguments, its named ones), before its forward."""


@contextmanager
def entered(module: nn.Module, entry: Entry) -> Iterator[None]:
    """The entry is called before the module's forward while the context lasts."""
    handle = module.register_forward_pre_hook(entry, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def hooked(hooks: Iterable[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Each hook is called after its module's forward while the context lasts.

    Hooks of one module are called in the order given, each with the output of the one before.
    """
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_hook(hook).remove)
        yield
