"""The measurement of a comparison, and what is written of it."""

from __future__ import annotations

import dataclasses

from safebasin.compare.comparison import Comparison, read
from safebasin.compare.forensics import forensics
from safebasin.compare.narrowing import narrowed
from safebasin.compare.preparation import DIRECTION, PATH, Prepared
from safebasin.compare.provenance import provenance
from safebasin.compare.stored_divergence import divergence_of
from safebasin.plane import Point
from safebasin.report.page import PAGE, write_page
from safebasin.report.path import draw_path
from safebasin.report.studies import COMPARISON, read_change
from safebasin.results import Result, look
from safebasin.run import sealed
from safebasin.scanning.preparation import prepare as prepare_scan
from safebasin.scanning.scan import scan
from safebasin.study.loop import measure
from safebasin.study.observer import Observer, Silent
from safebasin.study.parts import Part


def compare(prepared: Prepared, observer: Observer | None = None) -> Comparison:
    """Measure what is missing, and write `comparison.json`, the picture and the page.

    Finished points are on the disk at any moment; the same comparison goes on where an
    interrupted one stopped. Raises RunMismatch where the folder holds another comparison.
    """
    observer = observer or Silent()
    even = prepared.part(PATH)
    if even is None:
        raise ValueError("a comparison without a path was prepared")
    path = even.with_recorded(prepared.folder)
    others = [part for part in prepared.parts if part is not even]
    with prepared.kept() as work:
        measure(work, [path, *others], observer)

        def ask(path: Part, place: float) -> None:
            measure(work, [path], observer, {Point.of({DIRECTION: place})})

        path = narrowed(prepared.folder, even, path, prepared.config, ask)
    divergence, lacks = divergence_of(prepared)
    landscape = _landscape(prepared, observer) if prepared.config.landscape else None
    found = read(prepared, path, landscape, divergence, [lacks] if lacks else [])
    found = dataclasses.replace(found, provenance=provenance(prepared))
    if prepared.located is not None:
        held = forensics(prepared.direction, prepared.engine.weights, prepared.located)
        found = dataclasses.replace(found, forensics=held)
    figures = draw_path(
        found.path,
        shares=found.shares,
        base=found.base,
        tuned=found.tuned,
        prompts=found.prompts,
        tolerance=found.tolerance,
        folder=prepared.folder / "figures",
    )
    sealed.write(prepared.folder / COMPARISON, found.stored())
    runs = [
        look(prepared.folder / PATH, found.tolerance),
        *([] if landscape is None else [landscape]),
    ]
    page = write_page(prepared.folder / PAGE, runs, study=read_change(prepared.folder))
    return dataclasses.replace(found, figures=tuple(figures), page=page)


def _landscape(prepared: Prepared, observer: Observer) -> Result:
    """The tuned model's own basin, in a run folder of its own, along random directions."""
    prepared.engine.close()  # another vLLM starts, and wants its memory
    return scan(prepare_scan(prepared.tuned_scan), observer)
