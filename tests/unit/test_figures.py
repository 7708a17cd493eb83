"""What all figures share: the styles of their lines."""

from rainshaft.figures import style as figures


def test_each_name_has_a_line_style_of_its_own() -> None:
    names = [f"run-{i}" for i in range(9)] + ["analogs", "climatology", "bilinear", "rainfarm", "quantile-mapping"]
    styles = figures.line_styles(names)
    assert len({str(style) for style in styles.values()}) == len(names)
    assert all(styles[name][0] == "0.5" for name in names[-5:])
    assert figures.line_styles(["climatology"])["climatology"] == styles["climatology"], "the same in every figure"
