"""From runs to one HTML file: the template, the scripts, their hashes and the packed data."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.landscape.capability import KEPT
from safebasin.report.asked_under import asked_under
from safebasin.report.capability import told as told_capability
from safebasin.report.page import findings
from safebasin.report.page import study as studies
from safebasin.report.page.content import Measured, content
from safebasin.report.page.texts import LONGEST, SHORTEST, shown
from safebasin.report.studies import Study
from safebasin.report.style import (
    ASR_COLOURS,
    CAPABILITY_THEMES,
    COMPARED,
    OUTCOME_COLOURS,
    OUTCOME_INKS,
    RATE_COLOURS,
)
from safebasin.run import RunFolder
from safebasin.run.atomic import write_atomic
from safebasin.run.provenance import hide

if TYPE_CHECKING:
    from jinja2 import Environment, Template

PAGE = "report.html"
OWN_PAGE = re.compile(rb"\A<!doctype html>", re.IGNORECASE)
"""How an earlier page begins, as any other page does."""
SCRIPTS = (
    "model.js",
    "drawing.js",
    "curves.js",
    "checkpoints.js",
    "planes.js",
    "answers.js",
    "tables.js",
    "start.js",
)
ROOM = 3_700_000
"""Bytes of packed data that leave the page, with plotly and the tables, below 6 MB."""
NOTHING = ""
"""Plotly adds empty style elements and fills them through the style sheet's own interface."""


def write_page(
    path: Path, runs: Sequence[Measured], *, show_text: bool = False, study: Study | None = None
) -> Path:
    """Write the page of these runs; the file is whole at any moment.

    Raises RunError where a record is damaged or the file cannot be written.
    """
    write_atomic(path, document(runs, show_text=show_text, study=study).encode("utf-8"))
    return path


def document(
    runs: Sequence[Measured], *, show_text: bool = False, study: Study | None = None
) -> str:
    """The page of one or more runs, or of the trajectory or comparison that they belong to.

    Prompts and answers are in it with `show_text` only; else their fingerprints and verdicts.
    Nothing in it is fetched, and its policy lets no script run but the page's own.
    """
    script, plotly, style = _script(), _plotly(), look()
    data, longest = _data(runs, show_text, study)
    return _template().render(
        policy=policy([script, plotly], [style, NOTHING]),
        style=style,
        script=script,
        plotly=_packed_plotly(),
        data=data,
        title=(
            " and ".join(dict.fromkeys(one.model for one in runs))
            if study is None
            else studies.title(study)
        ),
        study=studies.told(study, runs),
        runs=[_about(one) for one in runs],
        ranking=findings.ranking(runs),
        comparison=findings.comparison(runs),
        alike=findings.alike(runs),
        differences=findings.differences(runs),
        one_axis=findings.one_axis(runs),
        show_text=show_text,
        cut=longest if show_text and longest < LONGEST else 0,
        version=version("safebasin"),
    )


def _data(runs: Sequence[Measured], show_text: bool, study: Study | None) -> tuple[str, int]:
    """What the scripts read, packed, and how many characters of a text are in it.

    Texts are cut shorter and shorter until the file is one that can be sent by mail.
    """
    longest = LONGEST
    while True:
        told = [
            content(
                one, show_text=show_text, longest=longest,
                beside=() if i else studies.checkpoints(study),
                path=studies.change(study) is not None,
            )
            for i, one in enumerate(runs)
        ]  # fmt: skip
        data = {
            "showText": show_text,
            "colours": OUTCOME_COLOURS,
            "inks": OUTCOME_INKS,
            "asr": ASR_COLOURS,
            "capability": CAPABILITY_THEMES,
            "compared": COMPARED,
            "rate": RATE_COLOURS,
            "way": studies.scripted(study),
            "change": studies.change(study),
            "runs": told,
        }
        packed = _packed(json.dumps(data, allow_nan=False, separators=(",", ":")).encode())
        if not show_text or len(packed) <= ROOM or longest == SHORTEST:
            return packed, longest
        each = (run["answerTexts"] for run in told)
        texts = (text for one in each for text in (*one["texts"], *one["thoughts"].values()))
        longest = max(SHORTEST, min(longest, max(map(len, texts), default=0)) // 2)


def _about(measured: Measured) -> dict[str, Any]:
    """What the template says of a run without any script."""
    manifest = RunFolder.read(measured.folder).manifest
    recorded = manifest.to_json()
    cut = findings.Row("ended at the token limit", measured.truncation.counts)
    return {
        "model": measured.model,
        "folder": measured.folder.name,
        "headline": findings.headline(measured),
        "beyond": findings.beyond(measured),
        "warning": measured.truncation.warning,
        "certainty": [
            *findings.certainty(measured),
            f"The system message that each prompt was asked under is {asked_under(manifest)}.",
        ],
        "judges": [(name, [*findings.rows(one), cut]) for name, one in measured.summaries.items()],
        "sittings": sittings(manifest.sessions),
        "capabilities": [told_capability(one) for one in measured.capabilities],
        "kept": f"{100 * KEPT:.0f} %",
        "manifest": shown(hide(json.dumps(recorded, indent=1, ensure_ascii=False))),
        "digest": recorded["digest"],
    }


def sittings(sessions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The commands that measured a run, each once with its versions and its first and last time."""
    found: list[dict[str, Any]] = []
    for session in sessions:
        what = {
            "command": hide(shlex.join(str(part) for part in session.get("command", ()))),
            "versions": _named(session.get("versions")),
            "commit": str(_named(session.get("git")).get("commit", "")),
        }
        started = str(session.get("started", "")).replace("T", " ").replace("+00:00", " UTC")
        if found and all(found[-1][name] == value for name, value in what.items()):
            found[-1] |= {"ended": started, "count": found[-1]["count"] + 1}
        else:
            found.append({**what, "started": started, "ended": "", "count": 1})
    return found


@cache
def _template() -> Template:
    return environment().from_string(_own("page.html"))


def environment() -> Environment:
    """Of a page's template: all is escaped; `shown` is for foreign texts, `told` for sentences."""
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters["shown"] = lambda text: shown(str(text), lines=False)
    made.filters["told"] = _told
    return made


def look() -> str:
    """The style sheet of every page."""
    return _own("page.css")


def _told(text: object) -> str:
    """A sentence of ours about foreign names; a number stays beside its per cent sign."""
    return shown(str(text), lines=False).replace(" %", "\u00a0%")


def _named(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Nothing may be loaded or sent; the page's own scripts and style may run, by their hash."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """The page's own scripts as one, in a scope of their own."""
    parts = "\n".join(_own(name) for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _packed_plotly() -> str:
    return _packed(_plotly().encode("utf-8"))


def _packed(data: bytes) -> str:
    """Compressed and in base64, which cannot end the element that holds it."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")
