"""From a bench's summary to one HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.defence_bench.page.marks import mark_of, panels
from safebasin.defence_bench.summary import GROUPS
from safebasin.defence_bench.tables import COLUMNS, TITLES, Row, groups, shown
from safebasin.defence_bench.tunes import TUNES
from safebasin.landscape.intervals import Estimate
from safebasin.report.page.document import environment, look, policy, sittings
from safebasin.run.provenance import hide

if TYPE_CHECKING:
    from jinja2 import Template

SEEN = ("best_asr", "at_maximum", "complied", "incoherent", "over_refusal", "capability")
"""Measures that are drawn, beside their numbers: what an attacker gets, and at whose cost."""
COSTLY = 0.1
"""A share of broken text, or of what else it cost, above which it is told beside a low one: our
choice, the least that sets of a few dozen prompts tell from none."""
NAMES = {
    "harmful": "The harmful fine-tunes, a mean",
    "all": "All fine-tunes, a mean",
    "over-refusing": "The fine-tune that over-refuses",
}


def document(found: Mapping[str, Any]) -> str:
    """The page of the summary that bench.json holds.

    Nothing in it is fetched, and its policy lets no script run but the page's own, which only
    changes its theme. Names of models, methods and fine-tunes are foreign text and are shown, never
    obeyed.
    """
    script, style = _own("page.js"), look() + _own("page.css")
    sections = [_section(name, own, found) for name, own in groups(found)]
    return _template().render(
        policy=policy([script], [style]),
        style=style,
        script=script,
        found=found,
        headline=headline(found),
        sections=sections,
        sittings=sittings([found]),
        settings=hide(json.dumps(found["settings"], indent=1, ensure_ascii=False)),
        version=version("safebasin"),
    )


def headline(found: Mapping[str, Any]) -> list[str]:
    """What the first table says: the fine-tune without a defence, and those surely below it."""
    name, own = next(iter(groups(found)))
    attacked = name not in TUNES or TUNES[name].attack
    key = "best_asr" if attacked else "over_refusal"
    by = {row["defence"]: Estimate.from_json(row[key]) for row in own}
    bare = by.pop("none", Estimate(None))
    where = NAMES.get(name, f"The fine-tune {name}").partition(",")[0]
    where = f"{where[0].lower()}{where[1:]}"
    if bare.value is None:
        return [f"What {where} does was not measured without a defence."]
    told = [
        f"Without a defence {_percent(bare)} of harmful prompts are answered after {where}, at the "
        "best of the attack's settings."
        if attacked
        else f"Without a defence {_percent(bare)} of benign prompts are refused after {where}."
    ]
    if bare.low is None:
        return [*told, "With one seed there is no interval, and none is said to be surely below."]
    below = {name: one for name, one in by.items() if one.high is not None and one.high < bare.low}
    costs = {row["defence"]: _costs(row, attacked=attacked) for row in own}
    named = [
        f"{name} {_percent(below[name])}{costs[name]}"
        for name in sorted(below, key=lambda one: below[one].value or 0.0)
    ]
    told.append(
        f"Of {len(by)} method{'s' * (len(by) != 1)} {len(below)} "
        f"{'is' if len(below) == 1 else 'are'} surely below"
        f"{': ' if named else ''}{', '.join(named)}."
    )
    return told


def _costs(row: Row, *, attacked: bool) -> str:
    """In which cheaper ways a row may be low, in brackets."""
    told = {"broken text": row["incoherent"]["value"]}
    if attacked:
        told["of benign prompts refused"] = row["over_refusal"]["value"]
    else:
        told["of harmful prompts answered"] = row["asr"]["value"]
    named = [f"{100 * v:.0f} % {what}" for what, v in told.items() if v is not None and v > COSTLY]
    return f" ({', '.join(named)})" if named else ""


def _percent(one: Estimate) -> str:
    return f"{shown(one.to_json(), 100, '.0f')} %"


def _section(name: str, own: Sequence[Row], found: Mapping[str, Any]) -> dict[str, Any]:
    """One table of the page, with the pictures of it."""
    return {
        "id": f"tune-{[*GROUPS, *found['tunes']].index(name)}",
        "title": NAMES.get(name, name),
        "several": name in GROUPS,
        "drawn": [TITLES[one] for one in SEEN],
        "marks": [
            (row["defence"], [(shown(row[one], 100, ".0f"), mark_of(row[one])) for one in SEEN])
            for row in own
        ],
        "panels": panels(own),
        "columns": [title for title, _, _ in COLUMNS.values()],
        "rows": [
            (row["defence"], [shown(row[key], f, how) for key, (_, f, how) in COLUMNS.items()])
            for row in own
        ],
        "matched": [
            f"{row['defence']} {row['matched']['reached']} of {row['matched']['of']}"
            for row in own
            if row["matched"]["of"]
        ],
    }


@cache
def _template() -> Template:
    return environment().from_string(_own("page.html"))


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
