"""The plot: score against what an answer costs, or against its tokens when nothing costs anything.

Drawn by matplotlib without its ``pyplot``, so that no window and no program's own figures are
touched. The same models give the same SVG ("Matplotlib documentation", "svg.hashsalt").
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from polyvox.errors import ConfigurationError
from polyvox.evaluation.report import ModelReport

__all__ = ["check_plot", "draw"]

_ENDINGS = (".png", ".svg")
_DOLLARS = "mean cost of a case"
_LOG_FROM = 20.0
"""How many times the least the most must cost for a logarithmic axis."""

# Told apart by their shapes, and by lightness where there is no colour. The colours are those of
# M. Okabe and K. Ito, "Color Universal Design", which most colour-blind people can tell apart.
_MARKERS = "osD^vPX*"
_COLOURS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

_RC = {
    "svg.hashsalt": "polyvox",
    "svg.fonttype": "none",
    "font.size": 10.0,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_SIZE = (7.2, 4.5)
_DPI = 160
_GAP = 4.0


class _Point(NamedTuple):
    """A model in the plot."""

    model: ModelReport
    x: float
    marker: str
    colour: str
    priced: bool

    @property
    def y(self) -> float:
        """Its score."""
        return self.model.score or 0.0

    @property
    def error(self) -> list[list[float]]:
        """How far its interval reaches down and up, as matplotlib wants it."""
        low, high = self.model.low or 0.0, self.model.high or 0.0
        return [[max(0.0, self.y - low)], [max(0.0, high - self.y)]]


def check_plot(path: str | PathLike[str]) -> None:
    """Raises ``ConfigurationError`` if no plot can be written there: by its name, or without the extra."""
    if Path(path).suffix.lower() not in _ENDINGS:
        raise ConfigurationError(
            f"a plot is a PNG or an SVG, and {str(path)!r} is neither",
            hint="Let its name end with .png or .svg.",
        )
    if not Path(path).parent.is_dir():
        raise ConfigurationError(f"can't write {path}: there is no folder {Path(path).parent}")
    _matplotlib()


def draw(models: Iterable[ModelReport], path: str | PathLike[str]) -> None:
    """Draw the models that have answered anything. Raises as ``check_plot``, or when it can't be written."""
    check_plot(path)
    matplotlib, kind = _matplotlib(), Path(path).suffix.lower()[1:]
    scored = [model for model in models if model.score is not None]
    with matplotlib.rc_context(_RC):
        figure = _figure(matplotlib, scored)
        try:
            dated = {"Date": None} if kind == "svg" else {}
            figure.savefig(path, format=kind, dpi=_DPI, metadata=dated)
        except OSError as error:
            raise ConfigurationError(f"can't write {path}: {error.strerror}") from None


def _matplotlib() -> Any:
    """matplotlib, with the modules that are used. Raises ``ConfigurationError`` without it."""
    try:
        for module in ("figure", "text", "ticker", "transforms", "backends.backend_agg"):
            import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise ConfigurationError(
            f"a plot is drawn with matplotlib: {error}", hint="pip install 'polyvox[eval]'"
        ) from error
    return import_module("matplotlib")


def _figure(matplotlib: Any, models: Sequence[ModelReport]) -> Any:
    points, title = _points(models)
    priced = [point for point in points if point.priced]
    aside = [point for point in points if not point.priced] if priced else []
    shown = priced or points
    figure = matplotlib.figure.Figure(figsize=_SIZE, layout="constrained")
    matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
    widths = [5, 1] if aside else [1]
    grid: Any = figure.subplots(1, len(widths), width_ratios=widths, sharey=True, squeeze=False)[0]
    axes = grid[0]
    axes.set(xlabel=title, ylabel="score, with 95 % interval", ylim=(-0.03, 1.06))
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    _scale(matplotlib, axes, [point.x for point in shown])
    parts = [(axes, shown)]
    if aside:
        grid[1].set(xlim=(-1, len(aside)), xticks=[], xlabel="price\nunknown", facecolor="#f4f4f4")
        grid[1].tick_params(left=False)
        grid[1].spines["left"].set_visible(False)
        axes.set(zorder=2, facecolor="none")  # names may reach over the other part
        parts.append((grid[1], [each._replace(x=place) for place, each in enumerate(aside)]))
    for each, within in parts:
        each.grid(axis="y", color="#dddddd", linewidth=0.6)
        each.set_axisbelow(True)
        _plot(each, within)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what is measured from here on stays where it is
    taken = [box for each, within in parts for point in within for box in _bounds(each, point)]
    for each, within in parts:
        _label(each, within, taken)
    return figure


def _points(models: Sequence[ModelReport]) -> tuple[list[_Point], str]:
    """Where the models stand, and what the axis says of it."""
    costs = [model.cost for model in models]
    by_cost = any(cost.status == "known" and cost.nanos for cost in costs)
    points: list[_Point] = []
    for place, model in enumerate(models):
        per_case = model.cost_per_case
        x = per_case.dollars if by_cost and per_case else model.tokens_per_case
        marker = _MARKERS[place % len(_MARKERS)]
        colour = _COLOURS[place % len(_COLOURS)]
        points.append(_Point(model, x, marker, colour, model.cost.status != "unknown"))
    if by_cost:
        return points, _DOLLARS
    unknown = any(cost.status == "unknown" for cost in costs)
    why = "no price is known; hollow" if unknown else "all of them are free"
    return points, f"mean tokens of a case, in and out ({why})"


def _scale(matplotlib: Any, axes: Any, values: Sequence[float]) -> None:
    """From nothing on; by powers of ten where the costs span much, and what is free still at 0."""
    positive = [value for value in values if value > 0]
    most = max(values, default=0) or 1
    if not positive or most < _LOG_FROM * min(positive):
        axes.set_xlim(-0.06 * most, 1.3 * most)
    elif len(positive) == len(values):
        axes.set_xscale("log", subs=range(2, 10))
        axes.set_xlim(min(positive) / 3, most * 3)
    else:
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
        axes.set_xlim(-min(positive) / 3, most * 3)
    form = "${:g}" if axes.get_xlabel() == _DOLLARS else "{:,g}"

    def told(value: float, place: int) -> str:
        return form.format(round(value, 12))

    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(told))


def _plot(axes: Any, points: Iterable[_Point]) -> None:
    for point in points:
        axes.errorbar(
            [point.x],
            [point.y],
            yerr=point.error,
            fmt=point.marker,
            color=point.colour,
            markerfacecolor=point.colour if point.priced else "white",
            markersize=8,
            elinewidth=1.2,
            capsize=4,
            clip_on=False,
        )


def _label(axes: Any, points: Sequence[_Point], taken: list[Any]) -> None:
    """Put each model's name beside its mark, where no other mark, bar or name is."""
    renderer = axes.figure.canvas.get_renderer()
    for point in sorted(points, key=lambda point: (-point.y, point.x)):
        text = axes.annotate(
            point.model.name,
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            annotation_clip=False,
            parse_math=False,  # a "$" in a name is one
            arrowprops={"arrowstyle": "-", "color": "#777777", "linewidth": 0.6, "shrinkB": 5},
            fontsize=9,
            va="center",
        )
        extent = _matplotlib().text.Text.get_window_extent  # without the line that leads to it
        # Of the places around it the first that is free; if none is, the last: a name is never left out.
        for x, y, side in _PLACES:
            text.set(ha=side, position=(x, y))
            text.update_positions(renderer)
            box = extent(text, renderer).padded(1.0)
            inside = box.x0 >= 0 and box.x1 <= axes.figure.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(extent(text, renderer))


_PLACES = [
    (side * (8 + _GAP), y, "left" if side > 0 else "right")
    for y in (0, 12, -12, 24, -24, 36, -36, 48, -48, 60, -60, 72, -72)
    for side in (1, -1)
]


def _bounds(axes: Any, point: _Point) -> list[Any]:
    """What a mark and its bar take up, in pixels."""
    from_extents = _matplotlib().transforms.Bbox.from_extents
    [down], [up] = point.error
    x, y = axes.transData.transform((point.x, point.y))
    bottom, top = (axes.transData.transform((0, point.y + off))[1] for off in (-down, up))
    return [from_extents(x - 7, y - 7, x + 7, y + 7), from_extents(x - 5, bottom, x + 5, top)]
