"""What all figures share: the styles of their lines, and panels for any number of things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.baselines.table import names as names_of_baselines
from rainshaft.figures import style


def test_each_name_has_a_line_style_of_its_own() -> None:
    runs, baselines = [f"run-{i}" for i in range(20)], names_of_baselines()
    styles = style.line_styles([*runs, *baselines])
    assert len({str(one) for one in styles.values()}) == len(runs) + len(baselines)
    assert all(styles[name][0] in style.GREYS for name in baselines)
    assert not any(styles[name][0] in style.GREYS for name in runs)
    for name in baselines:
        assert style.line_styles([name])[name] == styles[name], "as in every figure"


def test_there_may_be_many_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"baseline-{i}" for i in range(15)]
    monkeypatch.setattr(style, "names_of_baselines", lambda: many)
    assert len({str(one) for one in style.line_styles(many).values()}) == len(many)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_as_many_panels_as_asked_for_and_a_scale_below_each_column(count: int) -> None:
    figure = Figure()
    axes = style.panels(figure, count, 4, sharex=True)
    assert len(axes) == count
    assert [one for one in figure.axes if one.get_visible()] == list(axes)
    lowest = [one for one in axes if one.xaxis.get_tick_params()["labelbottom"]]
    assert len(lowest) >= min(count, 4)
    assert list(axes[-min(count, 4) :]) == lowest[-min(count, 4) :]


def draw(path: Path, side: int) -> None:
    with style.saved_figure(path, 4.0, 3.0, SETTINGS) as figure:
        axes = figure.subplots()
        axes.pcolormesh(np.arange(side**2).reshape(side, side), rasterized=True)
        axes.set_title("rain")


def test_a_figure_is_also_a_pdf_with_its_fonts_and_of_a_size_that_does_not_grow_with_the_grid(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 8)
    assert is_png(tmp_path / "a.png", 200, 150)
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf, "TrueType, embedded"
    assert b"/Type3" not in pdf
    draw(tmp_path / "b.png", 300)
    assert (tmp_path / "b.pdf").stat().st_size < 4 * len(pdf)
    draw(tmp_path / "a.png", 8)
    assert (tmp_path / "a.pdf").read_bytes() == pdf, "no date in it"


def test_nothing_is_left_of_a_figure_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), style.saved_figure(tmp_path / "a.png", 1.0, 1.0, SETTINGS):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())
