"""The comparison: its rows and differences, and how its tables are written."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from typing import Any

import pandas as pd
import pytest
from entries import comparison, entry

from rainshaft.errors import UserError
from rainshaft.evaluation import table
from rainshaft.evaluation.catalogue import SCORES
from rainshaft.evaluation.cells import DASH
from rainshaft.evaluation.looks import count_looks
from rainshaft.evaluation.rows import Comparison, Entry


@pytest.fixture
def compared() -> Comparison:
    return comparison(
        entry("bilinear", "baseline", crps=2.0, spread_skill=None),
        entry("fragments", "baseline", crps=1.6),
        entry("zeta", crps=1.4),
        entry("zeta", "posterior", crps=0.5),
        entry("alpha", crps=3.0),
        entry("tie", crps=1.59, noise=0.1),
        entry("other", dataset="second", crps=1.0),
        entry("bilinear", "baseline", dataset="second", crps=4.0),
    )


def row(frame: pd.DataFrame, dataset: str, name: str, mode: str, part: str = "validation") -> pd.Series:
    found = frame[
        (frame["dataset"] == dataset)
        & (frame["name"] == name)
        & (frame["mode"] == mode)
        & (frame["part"] == part)
        & (frame["days"] == "all_days")
    ]
    assert len(found) == 1
    return found.iloc[0]


def cells_of(text: str, heading: str) -> dict[str, list[str]]:
    """The cells of the first table below a heading, by the name of the row and the mode."""
    lines = text.split(f"## {heading}")[1].split("## ")[0].split("\n\n")
    rows = next(part for part in lines if part.startswith("|")).splitlines()
    assert len({len(line) for line in rows}) == 1, "aligned"
    return {" ".join((c[1].strip(), c[2].strip())): [x.strip() for x in c[1:-1]] for r in rows if (c := r.split("|"))}


def test_changes_are_against_the_strongest_baseline_of_the_dataset(compared: Comparison) -> None:
    frame = table.frame(compared)
    zeta = row(frame, "demo", "zeta", "prior")
    assert (zeta["against"], zeta["crps_change"]) == ("fragments", pytest.approx(-12.5))
    assert row(frame, "second", "other", "prior")["crps_change"] == pytest.approx(-75)
    assert math.isnan(
        row(table.frame(comparison(entry("alone"))), "demo", "alone", "prior").get("crps_change", math.nan)
    )


def test_paired_differences_are_much_narrower_than_scores(compared: Comparison) -> None:
    zeta = compared.rows("demo")[0]
    found = zeta.change("test", "all_days", compared.strongest("demo"))
    assert found["low"] < -0.125 < found["high"] < 0
    assert found["high"] - found["low"] < 0.1, "the weather of the resamples, which is common to both, cancels"


def test_ensembles_of_other_days_in_equal_number_are_not_compared() -> None:
    other = entry("a")
    other.content["test"]["all_days"]["digest"] = "others"
    pair = comparison(other, entry("fragments", "baseline", crps=2.0))
    assert pair.rows("demo")[0].change("test", "all_days", pair.strongest("demo"))["value"] is None


def test_files_of_two_ensembles_are_not_mixed(tmp_path: Any) -> None:
    mine, theirs = entry("mine", crps=1.0), entry("theirs", crps=2.0)
    for one in (mine, theirs):
        one.resampled.rename("resampled").to_netcdf(tmp_path / f"{one.content['name']}.nc")
    assert Entry.read(mine.content, tmp_path / "mine.nc").block("test")
    with pytest.raises(UserError, match=r"found a fair CRPS of 2 on validation days, but scores\.json of mine"):
        Entry.read(mine.content, tmp_path / "theirs.nc")
    del mine.content["test"]["all_days"]["resamples_digest"]
    with pytest.raises(UserError, match=r"found no resamples_digest for its test days.* evaluate it again"):
        Entry.read(mine.content, tmp_path / "mine.nc")


def test_a_difference_has_an_interval_only_where_days_were_resampled_alike() -> None:
    mine, theirs = entry("mine", crps=1.0), entry("theirs", "baseline", crps=2.0)
    rows = {row.name: row for row in comparison(mine, theirs).rows("demo")}
    assert None not in rows["mine"].change("test", "all_days", rows["theirs"]).values()
    mine.content["test"]["all_days"]["resamples_digest"] = "of another seed"
    assert rows["mine"].change("test", "all_days", rows["theirs"]) == {"value": -0.5, "low": None, "high": None}


def test_the_strongest_baseline_is_chosen_on_validation_days() -> None:
    good_on_test = entry("a", "baseline", crps=2.0)
    good_on_test.content["test"]["all_days"]["scores"]["fair_crps"]["value"] = 0.1
    found = comparison(good_on_test, entry("b", "baseline", crps=1.0)).strongest("demo")
    assert found.name == "b"
    only_test = comparison(
        entry("a", "baseline", crps=2.0, parts=("test",)), entry("b", "baseline", crps=3, parts=("test",))
    )
    assert only_test.strongest("demo").name == "a"


def test_ensembles_of_other_days_are_not_compared() -> None:
    pair = comparison(entry("a"), entry("fragments", "baseline", crps=2.0, days=39))
    found = pair.rows("demo")[0].change("test", "all_days", pair.strongest("demo"))
    assert (found["value"], found["low"]) == (None, None)


def test_rows_are_observed_then_experiments_in_their_order_then_baselines(compared: Comparison) -> None:
    frame = table.frame(compared)
    shown = frame[(frame["part"] == "test") & (frame["days"] == "all_days")]
    assert list(zip(shown["dataset"], shown["name"], shown["mode"], strict=True)) == [
        ("demo", "observed", ""),
        ("demo", "zeta", "prior"),
        ("demo", "zeta", "posterior"),
        ("demo", "alpha", "prior"),
        ("demo", "tie", "prior"),
        ("demo", "bilinear", "baseline"),
        ("demo", "fragments", "baseline"),
        ("second", "observed", ""),
        ("second", "other", "prior"),
        ("second", "bilinear", "baseline"),
    ]


def test_fractions_become_percent_and_observed_has_only_what_is_observed(compared: Comparison) -> None:
    frame = table.frame(compared)
    observed = row(frame, "demo", "observed", "")
    assert (observed["wet_fraction"], observed["wet_fraction_1mm"]) == (25, 20)
    assert math.isnan(observed["fair_crps"])
    zeta = row(frame, "demo", "zeta", "prior")
    assert (zeta["wet_fraction"], zeta["mass_bias"]) == (50, -12.5)
    assert (zeta["mass_bias_low"], zeta["mass_bias_high"]) == pytest.approx((-22.5, -2.5))


def test_markdown_has_validation_days_first_and_test_days_apart(compared: Comparison) -> None:
    text = table.markdown(compared, {"zeta": "the sharp one"}, {"demo": 3})
    assert (
        text.index("## demo: validation days (40)") < text.index("## second: validation") < text.index("## demo: test")
    )
    assert "looked at 3 times" in text.split("## demo: test days")[1]
    assert "looked at" not in text.split("## demo: test days")[0]
    cells = cells_of(text, "demo: validation days")
    head = cells["name mode"]
    against = head.index("against fragments %")
    assert re.fullmatch(r"-12\.5 \[-\d+\.\d, -\d+\.\d\]", cells["zeta prior"][against])
    assert cells["tie prior"][against].startswith("≈ -0.6 [")
    assert cells["fragments baseline"][against] == DASH
    assert cells["bilinear baseline"][head.index("spread/skill")] == DASH
    assert cells["zeta prior"][head.index("fair CRPS")] == "1.40 [1.30, 1.50]"
    assert cells[f"observed {DASH}"][head.index("wet > 0.1 mm %")] == "25.0"
    assert any("sees the truth" in name for name in cells)
    assert "zeta is better than fragments by 12.5 %." in text
    assert "alpha is worse than fragments by 87.5 %." in text
    assert "tie is not distinguishable from fragments" in text
    assert "- **zeta**: the sharp one" in text
    assert "nan" not in text.lower()
    for score in SCORES:
        if score.heading:
            assert f"- **{score.heading.format(wet_threshold=0.1)}**: {score.meaning}" in text


def test_kinds_of_days_have_a_table_of_their_own() -> None:
    kinds = ("all_days", "heavy_days", "JJA")
    pair = comparison(entry("a", kinds=kinds), entry("bilinear", "baseline", crps=2.0, kinds=kinds))
    cells = cells_of(table.markdown(pair, {}, {}), "demo: kinds of test days")
    assert [" ".join(key.split()) for key in cells][2:] == ["heavy 40", "JJA 40"]
    assert "Lerch" in table.markdown(pair, {}, {})
    rows = re.findall(r"^\| heavy .*$", table.markdown(pair, {}, {}), re.MULTILINE)
    assert ["bilinear" in row for row in rows] == 2 * [False, True], "beside the strongest baseline"


def test_every_score_has_its_column_in_the_csv(tmp_path: Any) -> None:
    run = comparison(entry("a", **{score.key: 0.5 for score in SCORES}), entry("bilinear", "baseline", crps=1 / 3))
    table.write(run, {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    frame = pd.read_csv(tmp_path / "table.csv")
    a = row(frame, "demo", "a", "prior")
    for score in SCORES:
        assert a[score.key] == pytest.approx(score.factor * 0.5)
        assert {f"{score.key}_low", f"{score.key}_high"} < set(frame)
    assert row(frame, "demo", "bilinear", "baseline")["fair_crps"] == 1 / 3, "all digits"
    head = (tmp_path / "console.txt").read_text(encoding="utf-8").splitlines()[0]
    console = [score.console for score in SCORES if score.console]
    assert re.split(r"\s{2,}", head)[1:] == [console[0], "vs bilinear %", *console[1:]]


def test_console_table_is_narrow_and_marks_the_posterior(compared: Comparison) -> None:
    text = table.console(compared)
    assert max(map(len, text.splitlines())) <= 132
    assert "demo, validation days" in text
    assert "test days" not in text
    assert "zeta posterior*" in text
    assert "do not measure skill" in text
    assert "posterior" not in table.console(comparison(entry("a")))
    assert "demo, test days" in table.console(comparison(entry("a", parts=("test",))))


def test_tiny_negative_value_is_shown_without_its_sign() -> None:
    text = table.markdown(comparison(entry("a", mass_bias=-1e-6)), {}, {})
    assert "-0.0 " not in text
    assert " 0.0 " in text


def test_the_noise_floor_stands_below_the_scores() -> None:
    one = entry("a")
    one.content["test"]["all_days"]["scores"]["spread_skill"]["floor"] = {"value": 1.07, "low": 1, "high": 1.1}
    text = table.markdown(comparison(one), {}, {}).split("## demo: test days")[1]
    assert "noise floor of" in text
    assert "1.07" in text


FAMILIES = {"a": ("a-s1", "a-s2", "a-s3"), "b": ("b-s1", "b-s2", "b-s3")}


@pytest.fixture
def replicated() -> Comparison:
    crps = {"a-s1": 1.0, "a-s2": 1.2, "a-s3": 1.7, "b-s1": 1.5, "b-s2": 1.5, "b-s3": 1.5}
    runs = [entry(name, crps=value) for name, value in crps.items()]
    return comparison(*runs, entry("bilinear", "baseline", crps=2.0, spread_skill=None), families=FAMILIES)


def test_replicates_are_one_row_with_an_interval_over_days_and_trainings(replicated: Comparison) -> None:
    a, b, bilinear = replicated.rows("demo")
    found = {row.name: row.found("test", "all_days", "fair_crps") for row in (a, b, bilinear)}
    assert (found["a"]["value"], found["a"]["sd"]) == pytest.approx((1.3, 0.3606), rel=1e-3)
    assert found["b"]["sd"] == 0
    width = {name: one["high"] / one["value"] - one["low"] / one["value"] for name, one in found.items()}
    assert width["a"] > 1.2 * width["b"], "trainings that differ make the interval wider"
    change = {row.name: row.change("test", "all_days", bilinear) for row in (a, b)}
    assert change["a"]["value"] == pytest.approx(-0.35)
    assert change["a"]["high"] - change["a"]["low"] > 5 * (change["b"]["high"] - change["b"]["low"])


def test_tables_show_means_and_the_csv_every_replicate(tmp_path: Any, replicated: Comparison) -> None:
    table.write(replicated, {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "over days and trainings together" in text
    assert cells_of(text, "demo: test days")["a prior"][2].startswith("1.30 [")
    for shown in (text, (tmp_path / "console.txt").read_text(encoding="utf-8")):
        assert "-s1" not in shown
    frame = pd.read_csv(tmp_path / "table.csv")
    a = frame[(frame["name"] == "a") & (frame["part"] == "test")].set_index("replicate")
    assert a.loc[[1, 2, 3], "fair_crps"].tolist() == [1, 1.2, 1.7]
    mean = a[a.index.isna()].iloc[0]
    assert (mean["fair_crps"], mean["fair_crps_sd"]) == pytest.approx((1.3, 0.3606), rel=1e-3)
    assert frame[frame["name"] == "bilinear"]["replicate"].isna().all()


def test_an_experiment_whose_members_were_all_dropped_has_no_row(compared: Comparison) -> None:
    for part in ("validation", "test"):
        del compared.entries[2].content[part]["all_days"]
    assert "zeta" not in set(table.frame(compared).query("mode == 'prior'")["name"])
    assert "| alpha" in table.markdown(compared, {}, {})


def test_looks_at_the_test_days_are_counted_once_for_each_set_of_members(tmp_path: Any) -> None:
    path, today = tmp_path / "looks.json", date(2001, 2, 3)
    contents = [entry("a").content, entry("bilinear", "baseline").content]
    assert count_looks(contents, path, today) == {"demo": 1}
    assert count_looks(contents, path, today) == {"demo": 1}, "the same members again are no new look"
    other = [entry("a", crps=0.9).content, contents[1]]
    assert count_looks(other, path, today) == {"demo": 2}
    assert count_looks(contents, path, today) == {"demo": 2}
    baseline = [contents[0], entry("bilinear", "baseline", crps=7.0).content]
    assert count_looks(baseline, path, today) == {"demo": 2}, "nobody tunes a baseline"
    split = entry("a", crps=0.9)
    split.content["test"]["digest"] = "other days"
    assert count_looks([split.content], path, today) == {"demo": 1}
    assert count_looks(contents, path, today) == {"demo": 2}
    path.write_text(json.dumps({"demo": "twice"}), encoding="utf-8")
    with pytest.raises(UserError, match="move the file away"):
        count_looks(contents, path, today)


def test_the_noise_floor_of_replicates_is_that_of_all(replicated: Comparison) -> None:
    for number, one in enumerate(replicated.entries[:3]):
        floor = {"value": 1.0, "low": 0.9 - 0.1 * number, "high": 1.1}
        one.content["test"]["all_days"]["scores"]["spread_skill"]["floor"] = floor
    found = replicated.rows("demo")[0].found("test", "all_days", "spread_skill")["floor"]
    assert found == pytest.approx({"value": 1.0, "low": 0.7, "high": 1.1})
    assert "noise floor of" in table.markdown(replicated, {}, {})
