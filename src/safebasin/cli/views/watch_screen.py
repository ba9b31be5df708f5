"""The view of `safebasin watch`: what is left, the curve as it grows, the last verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text

from safebasin.cli.console import count, duration
from safebasin.cli.views.watch_state import Watched
from safebasin.exchange import Outcome
from safebasin.plane import Plane, Point
from safebasin.report.style import TERMINAL_COLOURS
from safebasin.terminal import printable, shorten

LAST = 6
"""Verdicts that are shown."""
WIDEST = 44
"""Columns of the longest bar."""
BESIDE_BAR = 36
"""Columns of what stands beside a bar: the coefficient, the ASR and its interval."""


def _shades() -> Mapping[Outcome, str]:
    return {"refused": "█", "complied": "▒", "incoherent": "░"}


@dataclass(frozen=True)
class Look:
    """The characters of the view.

    shades   of the outcomes, told apart where there are no colours
    blocks   from an ASR of 0 to one of 1
    missing  a point that is not measured; `assumed` one that is not asked
    key      what the blocks mean
    """

    shades: Mapping[Outcome, str] = field(default_factory=_shades)
    blocks: str = "▁▂▃▄▅▆▇█"
    missing: str = "·"
    assumed: str = "×"
    key: str = "the higher a block, the higher the ASR; · is not measured, × not asked"

    @classmethod
    def of(cls, encoding: str) -> Look:
        """Blocks where the encoding of the terminal has them, else letters that all have."""
        own = cls()
        try:
            "".join((*own.shades.values(), own.blocks, own.missing, own.assumed)).encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return cls(
                {"refused": "#", "complied": "+", "incoherent": "."},
                "0123456789", "-", "x",
                "ASR in tenths, 0 to 9; - is not measured, x not asked",
            )  # fmt: skip
        return own


def view(
    watched: Watched, height: int | None = None, width: int = 100, look: Look | None = None
) -> Group:
    """The whole view, at most `height` rows where that can be; foreign text in it is printable.

    `width` is that of the terminal in columns: bars and grids are made to fit into it.
    """
    drawing = _Drawing(watched, width, look or Look())
    whole = list(drawing.maps(short=False))
    if height is not None and len(whole) > height - LAST - 10:
        whole = list(drawing.maps(short=True))
    return Group(_head(watched), Text(), *whole, Text(), _verdicts(watched))


def _head(watched: Watched) -> Table:
    run, points = watched.run, watched.run.manifest.points
    done = len(points) - watched.left
    left = watched.seconds_left
    eta = "not known yet" if left is None else f"about {duration(left)}" if left else "complete"
    table = Table.grid(padding=(0, 2))
    model = run.manifest.identity.get("model")
    name = model.get("name", "") if isinstance(model, dict) else ""
    for label, text in (
        ("model", shorten(str(name))),
        ("judge", shorten(watched.judge) or "no verdicts yet"),
        ("points", f"{done} of {len(points)}, {watched.left} left"),
        ("answers", f"{watched.answers} of {watched.answers + watched.answers_left}"),
        ("cost", _cost(watched)),
        ("time left", eta),
    ):
        table.add_row(Text(label, "bold"), Text(text))
    return table


def _cost(watched: Watched) -> str:
    """What was spent and what is to come: tokens, time, and calls of judges that cost."""
    tokens = sum(one.new_tokens for one in watched.points.values())
    to_come = watched.tokens_to_come
    parts = [f"{count(tokens)} tokens" + (f", about {count(to_come)} to come" if to_come else "")]
    if watched.seconds_spent:
        parts.append(f"{duration(watched.seconds_spent)} of work")
    if watched.paying:
        paid = sum(one.paid for one in watched.points.values())
        wanted = watched.paying * watched.wanted * (len(watched.points) + watched.left)
        parts.append(f"{paid} of {max(paid, wanted)} verdicts of a judge that costs")
    return "; ".join(parts)


@dataclass(frozen=True)
class _Drawing:
    """A run as lines of text that fit a terminal."""

    watched: Watched
    width: int
    look: Look

    def maps(self, *, short: bool) -> Iterator[Text]:
        """A row a point for a line, or a block a point where it has to be short; a grid for a
        plane.
        """
        planes = self.watched.run.manifest.planes
        for plane in planes:
            yield Text(shorten(" and ".join(plane.directions), self.width), "bold")
            if len(plane.axes) == 2:
                yield from self._plane(plane)
            elif short:
                yield Text("  ").append_text(self._blocks(plane.points, self.width - 2))
            else:
                yield from self._line(plane)
        if short or any(len(plane.axes) == 2 for plane in planes):
            yield Text(self.look.key, "dim")
            return
        legend = Text()
        for outcome, colour in TERMINAL_COLOURS.items():
            legend.append(self.look.shades[outcome] * 2, colour).append(f" {outcome}  ")
        yield legend

    def _line(self, plane: Plane) -> Iterator[Text]:
        """A row a point: alpha, a bar of the three outcomes, the ASR with its interval."""
        longest = max(4, min(WIDEST, self.width - BESIDE_BAR))
        for value, point in zip(plane.axes[0].values, plane.points, strict=True):
            row = Text(f"{value:+8.3g}  ", no_wrap=True, overflow="crop")
            one = self.watched.points.get(point)
            if one is None or one.asr.value is None:
                beyond = point in self.watched.assumed
                words = "beyond the plateau, not asked" if beyond else self.look.missing
                yield row.append(words, "dim")
                continue
            for outcome, colour in TERMINAL_COLOURS.items():
                row.append(self.look.shades[outcome] * round(one.share(outcome) * longest), colour)
            row.append(f"  ASR {100 * one.asr.value:.0f} %")
            if one.asr.low is not None and one.asr.high is not None:
                row.append(f" ({100 * one.asr.low:.0f} to {100 * one.asr.high:.0f})", "dim")
            yield row

    def _plane(self, plane: Plane) -> Iterator[Text]:
        """A row a value of the second axis, the largest on top."""
        columns = len(plane.axes[1].values)
        for j in reversed(range(columns)):
            row = Text(f"{plane.axes[1].values[j]:+8.3g}  ")
            points = plane.points[j::columns]
            yield row.append_text(self._blocks(points, self.width - len(row)))

    def _blocks(self, points: Sequence[Point], room: int) -> Text:
        """A block a point, as high as its ASR; with gaps where there is room."""
        row = Text()
        gap = " " if 2 * len(points) <= room else ""
        for point in points:
            one = self.watched.points.get(point)
            if one is None or one.asr.value is None:
                absent = self.look.assumed if point in self.watched.assumed else self.look.missing
                row.append(absent + gap, "dim")
            else:
                blocks = self.look.blocks
                row.append(blocks[round(one.asr.value * (len(blocks) - 1))] + gap)
        return row


def _verdicts(watched: Watched) -> Text | Group:
    """The verdicts on the point that was finished last, a row each."""
    point = watched.last
    if point is None:
        return Text("no point is finished yet", "dim")
    one = watched.points[point]
    table = Table.grid(padding=(0, 2))
    for least in (8, len("not judged"), None):
        table.add_column(no_wrap=True, overflow="ellipsis", min_width=least)
    for prompt_id, verdict in one.verdicts[:LAST]:
        outcome = verdict.outcome or "not judged"
        colour = TERMINAL_COLOURS[verdict.outcome] if verdict.outcome else ""
        reason = shorten(printable(verdict.reason), 50)
        table.add_row(Text(shorten(prompt_id, 32)), Text(outcome, colour), Text(reason, "dim"))
    return Group(Text(f"last: {shorten(point.label)}", "bold"), table)
