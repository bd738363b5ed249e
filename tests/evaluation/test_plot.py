"""The plot: what is drawn where, that it is always the same, and that nothing lies on another."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from polyvox.errors import ConfigurationError
from polyvox.evaluation import ModelReport, Report
from polyvox.evaluation.plot import draw
from polyvox.evaluation.report import wilson
from polyvox.usage import FREE, UNKNOWN_COST, ZERO_USAGE, Cost, Usage

SRC = Path(__file__).resolve().parents[2] / "src"


def model(name: str, score: float, cost: Cost | float, tokens: int = 100) -> ModelReport:
    low, high = wilson(score, 40)
    if not isinstance(cost, Cost):
        cost = Cost("known", nanos=round(cost * 1e9 * 40))
    return ModelReport(
        name=name,
        score=score,
        low=low,
        high=high,
        answered=40,
        correct=round(40 * score),
        errors=0,
        usage=Usage(tokens * 40, 0, cost=cost),
        grading=ZERO_USAGE,
        seconds=1.0,
        seconds_p95=2.0,
    )


def drawn(tmp_path: Path, *models: ModelReport) -> str:
    path = tmp_path / "plot.svg"
    draw(models, path)
    return path.read_text(encoding="utf-8")


def texts(svg: str) -> list[str]:
    return [
        "".join(each.itertext()).strip()
        for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_score_is_drawn_against_cost(tmp_path: Path):
    svg = texts(drawn(tmp_path, model("x/small", 0.6, 0.01), model("x/large", 0.8, 0.04)))
    assert {"mean cost of a case", "score, with 95 % interval", "x/small", "x/large"} <= set(svg)
    assert any(re.fullmatch(r"\$0\.0\d+", text) for text in svg)
    assert not any("price" in text for text in svg)


def test_a_name_is_drawn_as_it_is_written(tmp_path: Path):
    names = ["x/a$b_$", "x/$\\frac$"]
    assert set(names) <= set(texts(drawn(tmp_path, *(model(name, 0.6, 0.01) for name in names))))


def test_costs_that_span_much_are_drawn_by_powers_of_ten_with_what_is_free_at_nothing(
    tmp_path: Path,
):
    paid = [model("x/small", 0.6, 0.001), model("x/large", 0.8, 0.1)]
    assert {"$0.001", "$0.01", "$0.1"} <= set(texts(drawn(tmp_path, *paid)))
    assert "$0" in texts(drawn(tmp_path, *paid, model("x/free", 0.4, FREE)))


@pytest.mark.parametrize(
    ("cost", "why"), [(FREE, "all of them are free"), (UNKNOWN_COST, "no price is known; hollow")]
)
def test_without_any_cost_tokens_stand_on_the_axis_and_it_says_why(
    tmp_path: Path, cost: Cost, why: str
):
    svg = drawn(tmp_path, model("x/small", 0.6, cost, 50), model("x/large", 0.8, cost, 90))
    assert f"mean tokens of a case, in and out ({why})" in texts(svg)
    assert ("fill: #ffffff; stroke: #0072b2" in svg) is (cost is UNKNOWN_COST)


def test_who_has_no_price_stands_aside_hollow(tmp_path: Path):
    svg = drawn(tmp_path, model("x/small", 0.6, 0.01), model("x/dark", 0.7, UNKNOWN_COST))
    assert {"price", "unknown", "x/dark"} <= set(texts(svg))
    assert "fill: #ffffff; stroke: #d55e00" in svg


def test_names_lie_on_no_other_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    seen: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (seen.append(self), save(self, *a, **k))
    )
    crowd = [
        model(
            f"provider/a-model-with-a-long-name-{place}", 0.7 + place / 200, 0.01 + place / 10_000
        )
        for place in range(7)
    ]
    draw(crowd, tmp_path / "plot.png")
    [figure] = seen
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    named = [each for each in figure.findobj(Text) if each.get_text().startswith("provider/")]
    boxes = [Text.get_window_extent(each, renderer) for each in named]
    assert len(boxes) == 7
    assert [
        (one, other)
        for place, one in enumerate(boxes)
        for other in boxes[:place]
        if one.overlaps(other)
    ] == []
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_the_same_models_give_the_same_bytes(tmp_path: Path):
    models = [model("x/small", 0.6, 0.001), model("x/dark", 0.7, UNKNOWN_COST)]
    assert drawn(tmp_path, *models) == drawn(tmp_path, *models)
    assert "<dc:date>" not in drawn(tmp_path, *models)


def test_a_png_is_one_and_who_answered_nothing_is_left_out(tmp_path: Path):
    from msgspec.structs import replace

    nobody = replace(model("x/broken", 0.5, 0.01), score=None, low=None, high=None)
    draw([nobody], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "x/broken" not in texts(drawn(tmp_path, nobody, model("x/small", 0.6, 0.01)))


def test_other_endings_and_places_are_refused(tmp_path: Path):
    report = Report([], [], [], wanted=0)
    with pytest.raises(ConfigurationError, match=r"'plot\.pdf' is neither"):
        report.save("plot.pdf")
    with pytest.raises(ConfigurationError, match="can't write"):
        report.save(tmp_path / "nowhere" / "plot.png")


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(ConfigurationError, match=r"polyvox\[eval\]"):
        draw([], "plot.png")


def test_evaluating_loads_no_matplotlib():
    code = "import sys, polyvox.evaluation; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
