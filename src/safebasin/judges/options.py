"""The options after a judge's colon: `refusal:partial=refused`, several with & between them."""

from __future__ import annotations

from collections.abc import Collection

from safebasin.errors import UsageError


def parse_options(text: str, judge: str, known: Collection[str]) -> dict[str, str]:
    """The options that `name=value&name=value` describes, by name.

    A comma ends a judge on the command line, so & stands between options. Raises UsageError
    for none at all, one without a value, one given twice, or a name that is not among `known`.
    """
    form = f"Give {judge}:{'=...&'.join(known)}=..., or {judge} alone."
    options: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or not value:
            raise UsageError(f"The judge '{judge}' cannot read the option '{part[:40]}'.", form)
        if name not in known:
            raise UsageError(
                f"The judge '{judge}' has no option '{name[:40]}'.",
                f"There {'is' if len(known) == 1 else 'are'} {', '.join(known)}.",
            )
        if name in options:
            raise UsageError(f"The judge '{judge}' is given '{name}' twice.", "Give it once.")
        options[name] = value
    return options


def choose(options: dict[str, str], name: str, judge: str, values: Collection[str]) -> str | None:
    """The option's value, None where it is not given. Raises UsageError for another value."""
    value = options.get(name)
    if value is not None and value not in values:
        raise UsageError(
            f"The judge '{judge}' cannot take {name}={value[:40]}.",
            f"Give {name}={' or '.join(values)}.",
        )
    return value
