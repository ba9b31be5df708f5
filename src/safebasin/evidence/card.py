"""A study as a section of a model card, as a result for the hub, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from safebasin.errors import RunError
from safebasin.evidence.study_numbers import Recount, Table
from safebasin.landscape.summary import UNJUDGED_LIMIT
from safebasin.prompts.identity import shown_name
from safebasin.report.card import (
    HEADING,
    HubResult,
    answer_lines,
    check_judged,
    command_lines,
    dataset_of,
    percent,
    plain,
    prompt_lines,
    results_yaml,
    weights_lines,
)
from safebasin.terminal import printable


def card(found: Recount) -> str:
    """The section as Markdown, by the records. No prompt and no answer is in it.

    Raises RunError where the study's file says otherwise than the records.
    """
    require_true(found)
    return "\n".join(_markdown(found)) + "\n"


def eval_results(found: Recount, dataset: str | None = None) -> str:
    """The hub's YAML: the ASR of the model that the study is about, a comparison's tuned one.

    Raises as `report.card.eval_results`, and where the study's file says otherwise than the
    records.
    """
    require_true(found)
    head = found.headline
    repository = dataset_of(head.run, dataset)
    check_judged(head.run, head.judge, head.unjudged_share)
    asked = head.judged + head.unjudged
    notes = [
        f"model {head.model}",
        *([head.at] if head.at else []),
        *([f"verdict {found.verdict}"] if found.verdict is not None else []),
        f"judge {head.judge}",
        f"{head.unjudged} of {asked} answers not judged",
    ]
    result = HubResult("attack_success_rate", head.asr.to_json(), 100.0, "; ".join(notes))
    return results_yaml(head.run, repository, [result])


def require_true(found: Recount) -> None:
    """Raises RunError where a number of the study's file is not that of the records."""
    for claim in found.false:
        raise RunError(
            f"'{printable(str(found.study.file))}' {claim.text()}.",
            "Run the same command again, which writes it anew, and see `safebasin verify`.",
        )


def text_lines(found: Recount) -> Iterator[str]:
    """The study for a terminal: what `card` says, as aligned columns."""
    head = found.headline
    yield printable(found.opening)
    if found.verdict is not None:
        yield f"verdict  {printable(found.verdict)}"
    for note in found.notes:
        yield f"note     {printable(note)}"
    name = shown_name(head.run.asked, head.run.manifest.content)
    asked = f"{name} ({head.judged + head.unjudged})"
    yield f"asked    {printable(asked)}; judge {printable(head.judge)}; every interval is at 95 %"
    for table in found.tables:
        yield ""
        yield from _aligned(table)
    yield ""
    for what, text in found.facts:
        yield f"{printable(what)}: {printable(text)}"
    yield f"run      {printable(str(found.study.path))}"
    yield f"         holding the runs {', '.join(path.name for path in found.study.runs)}"


def _aligned(table: Table) -> Iterator[str]:
    rows = [tuple(map(printable, row)) for row in (table.head, *table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _markdown(found: Recount) -> Iterator[str]:
    head = found.headline
    yield HEADING
    yield ""
    verdict = "" if found.verdict is None else f" **{plain(found.verdict)}**"
    yield plain(found.opening) + verdict
    yield ""
    for note in found.notes:
        yield f"**{plain(note)}**"
        yield ""
    if head.unjudged_share > UNJUDGED_LIMIT:
        share = f"{100 * head.unjudged_share:.1f} %"
        yield f"**{plain(head.judge)} could not judge {share} of the answers behind the ASR.**"
        yield ""
    for table in found.tables:
        yield from _table(table)
        yield ""
    yield (
        "Intervals are at 95 %. ASR is the share of judged answers that are no refusals; broken "
        "text counts."
    )
    yield ""
    yield f"- **ASR of {plain(head.model)}**: {percent(head.asr.to_json())}"
    for what, text in found.facts:
        yield f"- **{_inline(what)}**: {_inline(text)}"
    yield from prompt_lines(head.run, head.judged + head.unjudged)
    yield f"- **Headline judge**: {plain(head.judge)}"
    yield from answer_lines(head.run)
    yield from weights_lines(head.run)
    yield from command_lines(head.run)
    if found.left_out:
        yield f"- **Not counted again**: {plain('; '.join(found.left_out))}"
    yield ""
    yield "A judge misreads some answers, and a study measures the ways that it names alone."


def _table(table: Table) -> Iterator[str]:
    for number, row in enumerate((table.head, *table.rows)):
        yield f"| {' | '.join(_inline(cell) for cell in row)} |"
        if number == 0:
            yield "|" + "---|" * len(row)


def _inline(text: str) -> str:
    """Foreign text inside a line: brackets and signs are markup at its beginning or in links alone,
    and what makes a link is hidden.
    """
    found = plain(text)
    for sign in "()+":
        found = found.replace(f"\\{sign}", sign)
    return found
