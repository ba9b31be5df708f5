"""The methods of attribution by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from safebasin.attribution.actsvd import ActSvd
from safebasin.attribution.angles import AngularGap
from safebasin.attribution.base import Attribution
from safebasin.attribution.probe import Probe
from safebasin.attribution.random import Random
from safebasin.attribution.scaling import Scaling
from safebasin.attribution.snip import Snip
from safebasin.attribution.units import Units
from safebasin.attribution.wanda import Wanda
from safebasin.errors import UsageError
from safebasin.terminal import printable, shorten

ATTRIBUTIONS: dict[str, type[Attribution]] = {
    one.kind: one for one in (Snip, Wanda, ActSvd, AngularGap, Scaling, Units, Probe, Random)
}
"""Every method by what it is called: a new one is a file and its name here."""


def named(text: str) -> Attribution:
    """The method that a text names, with its settings after a colon: `units:heads,wanda`.

    Raises UsageError for a name nobody has, and for a setting that the method does not take.
    """
    kind, colon, given = text.partition(":")
    if kind not in ATTRIBUTIONS:
        raise UsageError(
            f"There is no method '{shorten(printable(kind))}'.",
            f"Give one of {', '.join(ATTRIBUTIONS)}.",
        )
    make = cast(Callable[..., Attribution], ATTRIBUTIONS[kind])
    try:
        return make(*given.split(",")) if colon else make()
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The method '{kind}' does not take '{shorten(printable(given))}'.",
            "Give snip:code, actsvd:RANK, actsvd:RANK,sequential, angular-gap:code, "
            "scaling:over-refusals,ALPHA, scaling:learnt-first-token, units:neurons,wanda, "
            "probe:neurons, random:SEED, or a name alone.",
        ) from error
