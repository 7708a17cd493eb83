"""The comparison table: its maths, its order, and how it is written."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd
import pytest

from rainshaft.evaluation import catalogue, table


def entry(
    name: str, mode: str = "prior", dataset: str = "demo", crps: float = 1.0, **scores: float | None
) -> dict[str, Any]:
    """Contents of a scores.json."""
    values = {"fair_crps": crps, "spread_skill": 0.9, "mass_bias": -0.125} | scores
    block = {
        "days": 7,
        "observed": {"wet_fraction": 0.25, "wet_fraction_1mm": 0.2},
        "samples": {"wet_fraction": 0.5, "wet_fraction_1mm": 0.3},
        "scores": {
            k: {"value": v, "low": None if v is None else v - 0.1, "high": None if v is None else v + 0.1}
            for k, v in values.items()
        },
    }
    return {
        "name": name,
        "mode": mode,
        "dataset": dataset,
        "members": 4,
        "wet_threshold": 0.1,
        "all_days": block,
        "heavy_days": None,
    }


@pytest.fixture
def scores() -> list[dict[str, Any]]:
    return [
        entry("bilinear", "baseline", crps=2.0, spread_skill=None),
        entry("zeta", crps=1.5),
        entry("zeta", "posterior", crps=0.5),
        entry("alpha", crps=3.0),
        entry("other", dataset="second", crps=1.0),
        entry("bilinear", "baseline", dataset="second", crps=4.0),
    ]


def row(frame: pd.DataFrame, dataset: str, name: str, mode: str) -> pd.Series:
    found = frame[(frame["dataset"] == dataset) & (frame["name"] == name) & (frame["mode"] == mode)]
    assert len(found) == 1
    return found.iloc[0]


def test_change_is_against_the_bilinear_of_the_same_dataset(scores: list[dict[str, Any]]) -> None:
    frame = table.table(scores)
    assert row(frame, "demo", "zeta", "prior")["crps_change"] == pytest.approx(-25)
    assert row(frame, "demo", "alpha", "prior")["crps_change"] == pytest.approx(50)
    assert row(frame, "second", "other", "prior")["crps_change"] == pytest.approx(-75)
    assert row(frame, "demo", "bilinear", "baseline")["crps_change"] == pytest.approx(0)


def test_change_is_against_the_climatology_too_and_a_dash_where_there_is_no_bilinear() -> None:
    scores = [entry("a", crps=1.5), entry("climatology", "baseline", crps=2.0)]
    found = row(table.table(scores), "demo", "a", "prior")
    assert found["crps_change_climatology"] == pytest.approx(-25)
    assert math.isnan(found["crps_change"])
    head, _, _, cells, _ = (
        [cell.strip() for cell in line.split("|")]
        for line in table.markdown(scores, {}, {}).splitlines()
        if line.startswith("|")
    )
    assert cells[head.index("vs bilinear %")] == table.DASH
    assert cells[head.index("vs climatology %")] == "-25"
    assert table.console(scores, {}).splitlines()[3].split()[:3] == ["a", "1.50", table.DASH]


def test_no_baseline_no_change() -> None:
    alone = table.table([entry("alone")]).iloc[1]
    assert math.isnan(alone["crps_change"])
    assert math.isnan(alone["crps_change_climatology"])


def test_rows_are_observed_then_experiments_in_their_order_then_baselines(scores: list[dict[str, Any]]) -> None:
    frame = table.table(scores)
    assert list(zip(frame["dataset"], frame["name"], frame["mode"], strict=True)) == [
        ("demo", "observed", ""),
        ("demo", "zeta", "prior"),
        ("demo", "zeta", "posterior"),
        ("demo", "alpha", "prior"),
        ("demo", "bilinear", "baseline"),
        ("second", "observed", ""),
        ("second", "other", "prior"),
        ("second", "bilinear", "baseline"),
    ]


def test_fractions_become_percent_and_observed_has_only_what_is_observed(scores: list[dict[str, Any]]) -> None:
    frame = table.table(scores)
    observed = row(frame, "demo", "observed", "")
    assert (observed["wet_fraction"], observed["wet_fraction_1mm"]) == (25, 20)
    assert math.isnan(observed["fair_crps"])
    zeta = row(frame, "demo", "zeta", "prior")
    assert (zeta["wet_fraction"], zeta["mass_bias"]) == (50, -12.5)


def test_fss_column_is_the_threshold_nearest_to_10_mm_at_the_middle_scale() -> None:
    values = {f"fss_{t}mm_{s}": t + s / 100 for t in (1, 12, 50) for s in (1, 5, 17)}
    scores = [entry("a", **values)]
    column = table.columns(scores)[-1]
    assert (column.heading, column.name) == ("FSS 12 mm", "fss_12mm_5")
    assert table.table(scores)["fss"].iloc[1] == pytest.approx(12.05)


def test_markdown(tmp_path: Any, scores: list[dict[str, Any]]) -> None:
    table.write(scores, {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    lines = [line for line in text.split("## second")[0].splitlines() if line.startswith("|")]
    cells = {(c[1].strip(), c[2].strip()): [x.strip() for x in c] for line in lines if (c := line.split("|"))}
    head = cells["name", "mode"]
    assert cells["bilinear", "baseline"][head.index("spread/skill")] == table.DASH
    assert cells["zeta", "prior"][head.index("spread/skill")] == "0.90"
    assert cells["zeta", "prior"][head.index("vs bilinear %")] == "-25"
    assert cells["observed", table.DASH][head.index("wet > 0.1 mm %")] == "25.0"
    assert any("sees the truth" in mode for name, mode in cells if name == "zeta")
    assert "nan" not in text.lower()
    assert text.count("## demo") == 1, "no heading for heavy days where there are none"
    tables = text.split("## ")[1:3]
    assert all(len({len(line) for line in part.splitlines() if line.startswith("|")}) == 1 for part in tables), (
        "aligned"
    )
    for column in table.columns(scores):
        assert f"- **{column.heading}**: {column.meaning}" in text


def test_every_score_of_the_catalogue_has_its_column_and_only_those_for_the_terminal_are_there(tmp_path: Any) -> None:
    run = entry("a", **{score.key: 0.5 for score in catalogue.SCORES if score.source == "score"})
    table.write([run], {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    frame = pd.read_csv(tmp_path / "table.csv").set_index(["days", "name"])
    for score in catalogue.SCORES:
        assert score.key in frame
        if score.source == "score":
            assert frame.loc[("all_days", "a"), score.key] == pytest.approx(score.factor * 0.5)
            assert {f"{score.key}_low", f"{score.key}_high"} < set(frame)
    head = (tmp_path / "console.txt").read_text(encoding="utf-8").splitlines()[0]
    assert re.split(r"\s{2,}", head)[1:] == [score.console for score in catalogue.SCORES if score.console]


def test_csv_keeps_full_precision_and_intervals(tmp_path: Any) -> None:
    block = [entry("a", crps=1 / 3), entry("bilinear", "baseline", crps=2.0)]
    table.write(block, {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    frame = pd.read_csv(tmp_path / "table.csv")
    a = frame[(frame["name"] == "a") & (frame["days"] == "all_days")].iloc[0]
    assert a["fair_crps"] == 1 / 3
    assert a["fair_crps_low"] == pytest.approx(1 / 3 - 0.1)
    assert (a["mass_bias_low"], a["mass_bias_high"]) == pytest.approx((-22.5, -2.5))


def test_heavy_days_have_their_own_rows() -> None:
    one = entry("a", crps=1.0)
    one["heavy_days"] = entry("a", crps=9.0)["all_days"]
    assert table.table([one], "heavy_days")["fair_crps"].iloc[1] == 9
    text = table.markdown([one], {}, {"a": "twice the gradient loss"})
    assert "heavy test days (7)" in text
    assert text.count("chosen by the observed rain") == 1
    assert "\n## Names\n\n- **a**: twice the gradient loss\n" in text


def test_console_table_is_narrow_and_marks_the_posterior(scores: list[dict[str, Any]]) -> None:
    text = table.console([*scores, entry("smooth-background"), entry("smooth-background", "posterior")], {})
    assert max(map(len, text.splitlines())) <= 115
    assert "zeta posterior*" in text
    assert "do not measure skill" in text
    assert "posterior" not in table.console([entry("a")], {})


def test_tiny_negative_value_is_shown_without_its_sign() -> None:
    text = table.markdown([entry("a", mass_bias=-1e-6)], {}, {})
    assert "-0.0" not in text
    assert " 0.0 " in text


FAMILIES = {"a": ("a-s1", "a-s2", "a-s3"), "b": ("b-s1", "b-s2", "b-s3")}


@pytest.fixture
def replicated() -> list[dict[str, Any]]:
    crps = {"a-s1": 1.0, "a-s2": 2.0, "a-s3": 6.0, "b-s1": 1.5, "b-s2": 1.5, "b-s3": 1.5}
    runs = [entry(name, crps=value) for name, value in crps.items()]
    return [*runs, entry("bilinear", "baseline", crps=2.0, spread_skill=None)]


def test_replicates_are_one_row_with_mean_and_standard_deviation(replicated: list[dict[str, Any]]) -> None:
    frame = table.by_family(table.table(replicated), FAMILIES)
    assert frame["replicate"].isna().tolist() == [True, *[False] * 6, True]
    means, deviations = table.over_replicates(frame, ["fair_crps", "crps_change"])
    assert means["name"].tolist() == ["observed", "a", "b", "bilinear"]
    a, spread = row(means, "demo", "a", "prior"), row(deviations, "demo", "a", "prior")
    assert (a["fair_crps"], spread["fair_crps"]) == pytest.approx((3, math.sqrt(7)))
    assert (a["crps_change"], spread["crps_change"]) == pytest.approx((50, 50 * math.sqrt(7)))
    assert row(deviations, "demo", "b", "prior")["fair_crps"] == 0
    assert row(means, "demo", "bilinear", "baseline")["fair_crps"] == 2
    assert math.isnan(row(deviations, "demo", "bilinear", "baseline")["fair_crps"])


def test_tables_show_means_and_deviations_of_models_and_plain_values_of_baselines(
    replicated: list[dict[str, Any]],
) -> None:
    text = table.markdown(replicated, FAMILIES, {})
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = {c[1].strip(): [x.strip() for x in c] for line in lines if (c := line.split("|"))}
    crps, wet = (cells["name"].index(heading) for heading in ("fair CRPS", "wet > 0.1 mm %"))
    assert [name for name in cells if name.isalpha()] == ["name", "observed", "a", "b", "bilinear"]
    assert cells["a"][crps] == "3.000 ± 2.646"
    assert cells["bilinear"][crps] == "2.000"
    assert cells["observed"][wet] == "25.00"
    assert "of 3 trainings" in text
    console = table.console(replicated, FAMILIES)
    assert "3.00±2.65" in console
    for shown in (text, console):
        assert "-s1" not in shown
    assert "±" not in table.markdown(replicated, {name: (name,) for name in ("a-s1", "b-s1")}, {})


def test_csv_has_the_means_the_deviations_and_every_replicate(tmp_path: Any, replicated: list[dict[str, Any]]) -> None:
    table.write(replicated, FAMILIES, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    frame = pd.read_csv(tmp_path / "table.csv")
    a = frame[frame["name"] == "a"].set_index("replicate")
    assert a.loc[[1, 2, 3], "fair_crps"].tolist() == [1, 2, 6]
    assert a.loc[[1, 2, 3], "fair_crps_low"].tolist() == pytest.approx([0.9, 1.9, 5.9])
    mean = a[a.index.isna()].iloc[0]
    assert (mean["fair_crps"], mean["fair_crps_sd"]) == pytest.approx((3, math.sqrt(7)))
    assert math.isnan(mean["fair_crps_low"]), "the interval of the days is that of one replicate"
    assert frame[frame["name"] == "bilinear"]["replicate"].isna().all()


def test_modes_of_replicates_stay_apart() -> None:
    runs = [entry(f"a-s{i}", mode, crps=i) for i in (1, 2, 3) for mode in ("prior", "posterior")]
    means, _ = table.over_replicates(table.by_family(table.table(runs), FAMILIES), ["fair_crps"])
    assert means[["name", "mode"]].values.tolist() == [["observed", ""], ["a", "prior"], ["a", "posterior"]]


def test_what_is_off_is_against_the_observed_and_has_its_sign() -> None:
    runs = [entry("a", calibration_gap=-0.04), entry("rainfarm", "baseline", crps=4.0)]
    frame = table.table(runs)
    a, observed = row(frame, "demo", "a", "prior"), row(frame, "demo", "observed", "")
    assert (a["wet_difference"], a["wet_difference_1mm"]) == pytest.approx((25, 10))
    assert a["crps_change_rainfarm"] == pytest.approx(-75)
    assert math.isnan(observed["wet_difference"])
    text = table.markdown(runs, {}, {})
    assert all(cell in text for cell in (" +25.0 ", " -0.04 ", " -75 "))


def test_an_experiment_whose_members_were_all_dropped_has_no_row(scores: list[dict[str, Any]]) -> None:
    scores[1]["all_days"] = None
    assert "zeta" not in set(table.table(scores[:2])["name"])
    assert "| alpha" in table.markdown(scores, {}, {})
    assert "alpha" in table.console(scores, {})
