"""What all figures share: the styles of their lines, and panels for any number of things."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

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
