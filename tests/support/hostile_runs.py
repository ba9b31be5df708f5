"""A run whose model, prompts and answers try to act on the page or the terminal that shows them."""

from __future__ import annotations

from pathlib import Path

from safebasin.plane import Axis, Plane, Point
from safebasin.results import rejudge
from support import judged_runs

NAME = "<img src=x onerror=window.hit=1>{{7*7}}"
ANSWERS = (
    "Certainly. <script>window.hit=1</script><img src=x onerror=window.hit=1>",
    "Certainly. </script><script>window.hit=1</script><!--<script>",
    "Certainly. <a href='javascript:window.hit=1'>press</a> {{constructor}} ${window.hit=1} {%a",
    "Certainly. \u202egnp.exe\u202c \u2066left\u2069 \x1b[31mred\x1b[0m \x1b]0;title\x07",
    "Certainly. nul \x00 bell \x07 lone \ud800 end \udfff line \u2028 stop \x85",
    "Certainly. <b onmouseover=window.hit=1>%{x}<extra>\" ' ` &lt;script&gt; $\\alpha$",
    "I cannot help with that.",
)
LONG = "Certainly. " + "<i>long</i> " * 450_000
"""Over five megabytes."""
LINE = Plane((Axis(NAME, (-0.2, -0.1, 0.0, 0.1, 0.2)),))
PLANE = Plane((Axis(NAME, (-0.1, 0.0, 0.1)), Axis("</script>", (-0.1, 0.0, 0.1))))


def answer(point: Point, n: int) -> str:
    """A refusal at the origin, hostile text elsewhere, and one very long answer."""
    if point.is_origin:
        return judged_runs.REFUSAL
    if n == 0 and point.distance == 0.1:
        return LONG
    return ANSWERS[n % len(ANSWERS)]


def write(path: Path, plane: Plane = LINE) -> Path:
    """A judged run of hostile answers."""
    judged_runs.write(path, answer, prompts=14, plane=plane, name=NAME)
    rejudge(path, ["llm-landscape", "outcome"])
    return path
