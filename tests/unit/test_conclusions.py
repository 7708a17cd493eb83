"""The statements of the first page: each outcome has its own words, and noise is called neither good nor bad."""

from __future__ import annotations

import re
from typing import Any

import pytest
from entries import comparison, entry

from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.report.conclusions import Known, Statement, conclusions

GOOD = {
    "spread_skill": 1.0,
    "wet_difference": 0.0,
    "mass_bias": 0.0,
    "p99_ratio": 1.0,
    "p999_ratio": 1.0,
    "gradient_ratio": 1.0,
    "lsd_db": 0.5,
}
WIDTH = {"spread_skill": 0.05, "wet_difference": 0.01, "mass_bias": 0.02, "lsd_db": 0.2}


def sure(name: str, **keys: Any) -> Entry:
    """An experiment without faults, and with intervals that are narrower than the bands."""
    made = entry(name, **(GOOD | keys))
    for part in ("validation", "test"):
        scores = (made.content[part] or {}).get("all_days", {"scores": {}})["scores"]
        for key, found in scores.items():
            if found["low"] is not None:
                found["low"], found["high"] = (found["value"] + sign * WIDTH.get(key, 0.05) for sign in (-1, 1))
    return made


def fragments(crps: float = 1.0, **keys: Any) -> Entry:
    return entry("fragments", "baseline", crps=crps, **keys)


def said(run: Comparison, dataset: str = "demo", **known: Any) -> dict[str, Statement]:
    statements = conclusions(run, Known(**known))[dataset]
    assert len({one.topic for one in statements}) == len(statements)
    for one in statements:
        assert one.text.endswith(".")
        assert "nan" not in one.text.lower().split()
        assert "None" not in one.text
        assert "  " not in one.text
    assert len(statements) <= 10
    return {one.topic: one for one in statements}


def test_a_better_experiment_is_said_to_be_better_by_so_much() -> None:
    found = said(comparison(sure("mine", crps=0.9), entry("other", crps=2.0), fragments()), looks={"demo": 1})
    assert found["Compared"].text == "2 experiments and 1 simple method on demo."
    assert "40 validation days (2001-01-01 to 2001-12-31)" in found["Days"].text
    assert "looked at once" in found["Days"].text
    worth = found["Worth"]
    assert worth.tone == "good"
    assert "The best experiment is mine." in worth.text
    assert "mine is better than the strongest simple method (fragments) by 10.0 % (" in worth.text
    assert "prefer" not in worth.text
    assert found["Test days"].text.endswith("This is as on the validation days.")
    assert {found[topic].tone for topic in ("Calibration", "Drizzle and mass", "Extremes", "Sharpness")} == {"good"}


def test_a_worse_experiment_is_said_to_be_worse() -> None:
    worth = said(comparison(sure("mine", crps=1.2), fragments()))["Worth"]
    assert worth.tone == "bad"
    assert "mine is worse than the strongest simple method (fragments) by 20.0 %" in worth.text
    assert worth.text.endswith("prefer fragments, which is simpler.")


def test_a_tie_is_not_called_a_gain() -> None:
    found = said(comparison(sure("mine", crps=0.99, noise=0.1), fragments()))
    assert found["Worth"].tone == found["Test days"].tone == "open"
    assert "mine is not distinguishable from the strongest simple method (fragments): -1.0 % (" in found["Worth"].text
    assert "better than" not in found["Worth"].text


def test_experiments_that_cannot_be_told_apart_are_named_together() -> None:
    run = comparison(sure("mine", crps=0.9), sure("twin", crps=0.905, noise=0.1), sure("far", crps=2.0), fragments())
    assert "Not distinguishable from it: twin." in said(run)["Worth"].text


def test_test_days_that_contradict_are_named() -> None:
    mine = sure("mine", crps=0.8)
    mine.resampled.loc[{"part": "test", "score": "fair_crps"}] *= 2
    mine.content["test"]["all_days"]["scores"]["fair_crps"]["value"] = 1.6
    found = said(comparison(mine, fragments()))
    assert (found["Worth"].tone, found["Test days"].tone) == ("good", "bad")
    assert "The validation days say the opposite." in found["Test days"].text


def test_without_a_baseline_the_worth_is_not_known() -> None:
    worth = said(comparison(sure("mine")))["Worth"]
    assert worth.tone == "open"
    assert "No simple method was compared" in worth.text


def test_without_validation_days_nothing_was_decided() -> None:
    run = comparison(sure("mine", crps=0.9, parts=("test",)), fragments(parts=("test",)))
    found = said(run, looks={"demo": 4})
    assert found["Days"].tone == "bad"
    assert "nothing was decided" in found["Days"].text
    assert "looked at 4 times" in found["Days"].text
    assert "on the test days" in found["Worth"].text
    assert "Test days" not in found


def test_days_too_few_for_an_interval_are_no_proof() -> None:
    mine, reference = sure("mine", crps=0.5, days=5), fragments(days=5)
    for one in (mine, reference):
        for part in ("validation", "test"):
            one.content[part]["all_days"]["share_of_run"] = None
    found = said(comparison(mine, reference))
    assert found["Worth"].tone == "open"
    assert "Its uncertainty is not known." in found["Worth"].text
    assert "Only 5 validation days" in found["Not to conclude"].text


def test_an_experiment_on_other_days_is_not_compared() -> None:
    easy = sure("easy", crps=0.5, days=30)
    found = said(comparison(easy, sure("mine", crps=0.9), fragments()))
    assert "The best experiment is mine." in found["Worth"].text
    assert "Scored on other days, so not comparable: easy." in found["Worth"].text
    alone = said(comparison(easy, fragments()))["Worth"]
    assert alone.tone == "open"
    assert "not comparable: easy." in alone.text


@pytest.mark.parametrize(
    ("score", "value", "topic", "words"),
    [
        ("spread_skill", 0.6, "Calibration", "too alike"),
        ("spread_skill", 1.4, "Calibration", "more than they should"),
        ("wet_difference", 0.2, "Drizzle and mass", "drizzles"),
        ("wet_difference", -0.2, "Drizzle and mass", "too seldom"),
        ("mass_bias", -0.2, "Drizzle and mass", "rain is lost"),
        ("mass_bias", 0.2, "Drizzle and mass", "too much rain"),
        ("p99_ratio", 0.7, "Extremes", "too weak"),
        ("p999_ratio", 1.3, "Extremes", "too strong"),
        ("gradient_ratio", 0.7, "Sharpness", "too smooth"),
        ("gradient_ratio", 1.3, "Sharpness", "too rough"),
        ("lsd_db", 4.0, "Sharpness", "wrong at some scales"),
    ],
)
def test_a_fault_is_named_only_where_the_interval_excludes_the_band(
    score: str, value: float, topic: str, words: str
) -> None:
    found = said(comparison(sure("mine", crps=0.9, **{score: value}), fragments()))
    assert found[topic].tone == "bad"
    assert words in found[topic].text
    unsure = sure("mine", crps=0.9, **{score: value})
    entries = unsure.content["validation"]["all_days"]["scores"][score]
    entries["low"], entries["high"] = value - 5, value + 5
    found = said(comparison(unsure, fragments()))
    assert found[topic].tone == "open"
    assert words not in found[topic].text
    assert re.search(r"open, \S+ to \S+ is good", found[topic].text), "what would be good is said"


def test_one_member_knows_nothing_of_its_uncertainty() -> None:
    found = said(comparison(sure("mine", crps=0.9, spread_skill=None), fragments()))
    assert found["Calibration"].tone == "bad"
    assert "single member" in found["Calibration"].text


def test_replicates_are_counted() -> None:
    entries = [sure(f"a-s{i}", crps=0.9 + 0.001 * i) for i in (1, 2, 3)]
    run = comparison(*entries, fragments(), families={"a": ("a-s1", "a-s2", "a-s3")})
    verdict = {"name": "a-s1", "mode": "prior", "note": "", "checks": [{"check": "x", "passed": True, "advice": ""}]}
    found = said(run, verdicts=[verdict])
    assert found["Compared"].text.startswith("1 experiment and")
    assert "mean over 3 trainings" in found["Compared"].text
    assert found["Next"] == Statement("Next", "a-s1 passes all 1 checks of the verdict.", "good")


def test_baselines_alone_are_no_experiment() -> None:
    found = said(comparison(fragments(), entry("bilinear", "baseline", crps=2.0)))
    assert found["Compared"].text == "2 simple methods on demo."
    assert "no experiment to judge" in found["Worth"].text
    assert "fragments" in found["Worth"].text
    assert "1.00 mm/day" in found["Worth"].text


def test_the_posterior_alone_is_no_skill() -> None:
    found = said(comparison(entry("mine", "posterior", crps=0.1), fragments()))
    assert "nothing here measures skill" in found["Worth"].text
    assert "Calibration" not in found
    assert "sampling.mode: prior" in found["Next"].text


def test_the_posterior_is_never_the_best() -> None:
    found = said(comparison(entry("mine", "posterior", crps=0.1), sure("mine", crps=0.9), fragments()))
    assert "by 10.0 %" in found["Worth"].text
    assert "are no skill" in found["Not to conclude"].text


def test_an_ensemble_of_another_model_is_judged_like_an_experiment() -> None:
    found = said(comparison(sure("corrdiff", mode="files", crps=0.9), fragments()))
    assert found["Worth"].tone == "good"
    assert "no verdict on corrdiff" in found["Next"].text


def test_each_dataset_has_a_page_of_its_own() -> None:
    run = comparison(sure("a"), fragments(2.0), sure("b", dataset="two"), fragments(0.5, dataset="two"))
    assert said(run)["Worth"].tone == "good"
    assert said(run, "two")["Worth"].tone == "bad"


def test_what_may_not_be_concluded() -> None:
    run = comparison(sure("mine", crps=0.9, days=300), fragments(days=300))
    assert "disaggregation" not in said(run)["Not to conclude"].text
    assert "All days are of 2001" in said(run)["Not to conclude"].text
    assert "Only" not in said(run)["Not to conclude"].text
    assert "disaggregation, not of a forecast" in said(run, perfect=["demo"])["Not to conclude"].text
    assert "synthetic" in said(run, synthetic=["demo"])["Not to conclude"].text


def test_true_coarse_rain_is_seen_in_the_scores() -> None:
    run = comparison(sure("mine"), fragments(domain_crps=1e-4, mean=3.0))
    run.entries[1].content["validation"]["all_days"]["scores"]["mean"]["observed"] = 3.0
    assert "disaggregation" in said(run)["Not to conclude"].text


def test_three_years_are_no_climate() -> None:
    mine = sure("mine")
    mine.content["test"]["last_day"] = "2003-12-31"
    assert "3 years are too few for return levels" in said(comparison(mine))["Not to conclude"].text


def test_the_advice_of_the_first_failed_check_is_next() -> None:
    checks = [
        {"check": "mass bias (%)", "passed": None, "advice": "could not be computed"},
        {"check": "wet fraction", "passed": True, "advice": ""},
        {"check": "spread / skill", "passed": False, "advice": "Try this."},
        {"check": "RALSD", "passed": False, "advice": "Try that."},
    ]
    verdicts = [{"name": "mine", "mode": mode, "note": "", "checks": checks} for mode in ("posterior", "prior")]
    found = said(comparison(sure("mine", crps=0.9), fragments()), verdicts=verdicts)
    expected = "mine fails 2 of 3 checks of the verdict, first “spread / skill”. Try this."
    assert found["Next"] == Statement("Next", expected, "bad")
