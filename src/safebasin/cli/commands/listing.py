"""`safebasin list`: what can be named on the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from safebasin.cli.options import JsonOption
from safebasin.errors import UsageError

KINDS = ("prompts", "judges", "models", "labelled", "defences", "attributions")


def list_known(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")],
    json: JsonOption = False,
) -> None:
    """List by name the prompt sets, judges, packaged models, files of human labels, defences, or
    methods of attribution."""
    from safebasin.cli.console import emit, say

    if kind not in KINDS:
        raise UsageError(f"Unknown kind '{kind}'.", f"Give one of {', '.join(KINDS)}.")
    rows = {
        "prompts": _prompts,
        "judges": _judges,
        "models": _models,
        "labelled": _labelled,
        "defences": _defences,
        "attributions": _attributions,
    }[kind]()
    if json:
        emit({kind: [{"name": name, "about": about} for name, about in rows]})
        return
    width = max(len(name) for name, _ in rows)
    for name, about in rows:
        say(f"{name:<{width}}  {about}")


def _prompts() -> list[tuple[str, str]]:
    from safebasin.prompts import CHOICE_SETS, PUBLISHED, load
    from safebasin.prompts.formats import KNOWN_FORMATS
    from safebasin.prompts.packaged import NAMES

    packaged = [(name, f"packaged, {len(load(name))} prompts") for name in NAMES]
    choices = [
        (name, f"packaged, {_length(name)} questions with choices, for --capability")
        for name in CHOICE_SETS
    ]
    published = [(one.name, one.text()) for one in PUBLISHED]
    formats = [(f"FILE in {known.name} format", f"columns {known.text}") for known in KNOWN_FORMATS]
    return packaged + choices + published + formats


def _length(name: str) -> int:
    from safebasin.prompts import CHOICE_SETS
    from safebasin.testbed import choices_path

    return len(choices_path(CHOICE_SETS[name]).read_text(encoding="utf-8").splitlines())


def _judges() -> list[tuple[str, str]]:
    from safebasin.judges import build, names
    from safebasin.judges.guards import GUARDS
    from safebasin.judges.rubric import FORM
    from safebasin.judges.rubrics import RUBRICS

    known = [(name, f"measures {build(name).measures}") for name in names()]
    rubrics = [
        (FORM.replace("NAME", name), f"measures harm: {one.policy}")
        for name, one in RUBRICS.items()
    ]
    guards = [
        (f"guard:{name}", f"measures {one.measures}, with {one.model}: {one.policy}")
        for name, one in GUARDS.items()
    ]
    return known + guards + rubrics


def _models() -> list[tuple[str, str]]:
    from safebasin.testbed import MODEL_NAMES, TUNED_NAMES

    return [(f"testbed:{name}", "packaged tiny model") for name in (*MODEL_NAMES, *TUNED_NAMES)]


def _labelled() -> list[tuple[str, str]]:
    from safebasin.agreement.label_layouts import LABEL_LAYOUTS, own_layout
    from safebasin.prompts.formats import ANSWER_COLUMNS

    own = own_layout("prompt", f"one of {' '.join(ANSWER_COLUMNS)}", "label")
    return [(f"FILE in {layout.name} layout", layout.text()) for layout in (*LABEL_LAYOUTS, own)]


def _defences() -> list[tuple[str, str]]:
    from safebasin.defences.kinds import DEFENCES

    return [(name, _cited(kind)) for name, kind in DEFENCES.items()]


def _attributions() -> list[tuple[str, str]]:
    from safebasin.attribution.kinds import ATTRIBUTIONS

    return [(name, _cited(kind)) for name, kind in ATTRIBUTIONS.items()]


def _cited(kind: Any) -> str:
    """The first line of what a method says of itself, and its paper."""
    about = (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return f"{about}; {kind.reference}"
