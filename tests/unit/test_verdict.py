import json
import math
import re
from dataclasses import replace

import pytest

from rainshaft.config.sections import Loss, Model, Sampling, Train
from rainshaft.evaluation import catalogue
from rainshaft.evaluation.verdict import POSTERIOR_NOTE, judge, summary

GOOD_SCORES = {
    "correlation_member_truth": 0.77,
    "correlation_member_member": 0.78,
    "calibration_gap": -0.01,
    "spread_skill": 0.98,
    "domain_spread_skill": 0.9,
    "mass_bias": 0.001,
    "diversity": 0.2,
    "p99_ratio": 1.02,
    "gradient_ratio": 0.95,
    "lsd_db": 0.85,
}


def scores_of(mode="prior", wet=0.45, observed=0.46, half_width=None, **scores):
    """Contents of a scores.json; with half of the width of all intervals, as a share of the value."""
    values = GOOD_SCORES | {"wet_fraction": wet, "wet_difference": wet - observed} | scores
    entries = {}
    for name, value in values.items():
        reach = None if half_width is None or value is None else half_width * max(abs(value), 0.05)
        entries[name] = {
            "value": value,
            "low": None if reach is None else value - reach,
            "high": None if reach is None else value + reach,
        }
    entries["wet_fraction"]["observed"] = observed
    block = {"days": 100, "scores": entries}
    # the scores of test days are absurd, to show that they are not asked
    test = {"days": 100, "scores": {name: {"value": 99.0, "low": 98.0, "high": 99.5} for name in entries}}
    return {"name": "mine", "mode": mode, "validation": {"all_days": block}, "test": {"all_days": test}}


def log(losses, gradients=None, network="rain"):
    gradients = gradients or [1 / (i + 1) for i in range(len(losses))]
    rows = zip(losses, gradients, strict=True)
    return [
        {"network": network, "epoch": i + 1, "train_loss": a, "val_loss": a, "val_L_grad": b}
        for i, (a, b) in enumerate(rows)
    ]


GOOD_LOG = log([3.0, 2.0, 1.6, 1.5, 1.45, 1.44, 1.43, 1.43])
DRIZZLE = scores_of(
    wet=1.0,
    correlation_member_truth=0.19,
    correlation_member_member=0.98,
    calibration_gap=-0.79,
    mass_bias=-0.82,
    diversity=0.014,
    spread_skill=0.07,
    domain_spread_skill=0.02,
    gradient_ratio=0.2,
    p99_ratio=0.3,
    lsd_db=10.2,
)


WET = "wet fraction minus that of the truth"


def failed(verdict):
    return {check["check"]: check for check in verdict["checks"] if check["passed"] is False}


@pytest.mark.parametrize("mode", ["prior", "posterior"])
def test_a_good_model_passes_everything(mode):
    verdict = judge(scores_of(mode), GOOD_LOG)
    assert all(check["passed"] for check in verdict["checks"])
    assert not any(check["advice"] for check in verdict["checks"])
    count = len(verdict["checks"])
    assert summary(verdict).splitlines()[0] == f"mine, {mode}, judged on validation days: all {count} checks passed"
    json.dumps(verdict, allow_nan=False)


def test_drizzle_leads_to_the_drizzle_advice():
    verdict = judge(DRIZZLE, GOOD_LOG)
    bad = failed(verdict)
    advice = bad["wet fraction minus that of the truth"]["advice"]
    assert "loss.lambda_grad to 3.0" in advice
    assert "sampling.pixel_threshold to 3.0" in advice
    assert "loss.lambda_grad 1.0" in bad["correlation of a member with the truth"]["advice"]
    assert "loss.w_min 0.3" in bad["correlation of a member with the truth"]["advice"]
    assert "loss.lambda_crps 1.0" in bad["spread / skill"]["advice"]
    text = summary(verdict)
    count = len(verdict["checks"])
    assert text.startswith(
        f"mine, prior, judged on validation days: {count - len(bad)} of {count} checks passed; next: {advice}"
    )
    assert "  wet fraction minus that of the truth: 0.54, expected -0.03 to 0.03" in text
    assert text.count("\n") == len(bad), "a line for each failed check"


@pytest.mark.parametrize(
    ("scores", "check"),
    [
        ({"correlation_member_truth": 0.004, "calibration_gap": -0.5}, "input: days of the predictors"),
        ({"mass_bias": 22.9}, "input: size of the rain"),
        ({"mass_bias": -0.96}, "input: size of the rain"),
    ],
)
def test_absurd_scores_blame_the_input_before_any_setting(scores, check):
    verdict = judge(scores_of(wet=0.2, **scores), GOOD_LOG)
    assert next(iter(failed(verdict))) == check
    assert "next: The members have" in summary(verdict)
    assert "rainshaft check" in summary(verdict).splitlines()[0]


def test_weak_scores_do_not_blame_the_input():
    for scores in ({"correlation_member_truth": 0.1}, {"mass_bias": -0.8}, {"correlation_member_truth": None}):
        assert not [name for name in failed(judge(scores_of(**scores), [])) if name.startswith("input")]


def test_rain_everywhere_is_no_drizzle_where_it_rains_everywhere():
    assert not failed(judge(scores_of(wet=0.97, observed=0.96), []))


@pytest.mark.parametrize(
    ("change", "check", "advice"),
    [
        ({"wet": 0.55}, WET, "sampling.pixel_threshold: auto"),
        ({"wet": 0.40}, WET, "Lower sampling.pixel_threshold"),
        ({"mass_bias": -0.06}, "mass bias", "too little"),
        ({"mass_bias": 0.06}, "mass bias", "too much"),
        ({"spread_skill": 0.8}, "spread / skill", "loss.lambda_crps 1.0"),
        ({"spread_skill": 1.3}, "spread / skill", "sampling.temperature 0.9"),
        ({"domain_spread_skill": 0.2}, "spread / skill of the domain mean", "model.conserve: drawn"),
        ({"domain_spread_skill": 1.9}, "spread / skill of the domain mean", "sampling.temperature 0.9"),
        ({"calibration_gap": -0.1}, "calibration gap", "loss.lambda_crps 1.0"),
        ({"calibration_gap": 0.1}, "calibration gap", "sampling.temperature 0.9"),
        ({"p99_ratio": 0.8}, "P99 ratio", "loss.tail_boost 2.0"),
        ({"p99_ratio": 1.2}, "P99 ratio", "loss.tail_boost 1.0"),
        ({"gradient_ratio": 0.5}, "gradient ratio", "raise loss.lambda_grad"),
        ({"gradient_ratio": 1.5}, "gradient ratio", "Lower loss.lambda_grad"),
        ({"lsd_db": 2.0}, "log spectral distance (dB)", "loss.crps_grad 2.0"),
    ],
)
def test_each_fault_fails_its_check_alone(change, check, advice):
    bad = failed(judge(scores_of(**change), GOOD_LOG))
    assert set(bad) == {check}
    assert advice in bad[check]["advice"]


@pytest.mark.parametrize(
    ("wet", "auto", "words"),
    [
        (0.55, 0.384, "With sampling.pixel_threshold: auto, which is 0.38 mm/day here, as many are wet as observed"),
        (0.40, 0.384, "With sampling.pixel_threshold: auto, which is 0.38 mm/day here, as many are wet as observed"),
        (0.40, 0.0, "Here, sampling.pixel_threshold: auto is 0 mm/day."),
        (1.0, 1.72, "or sampling.pixel_threshold to 1.7."),
    ],
)
def test_the_advice_says_which_threshold_auto_takes_where_it_is_known(wet, auto, words):
    rows = [{"threshold": t, "chosen": t == 0.1, "auto": t == auto} for t in sorted({0.0, 0.1, auto})]
    check = failed(judge(scores_of(wet=wet), [], rows))[WET]
    assert words in check["advice"]
    as_text = [{key: str(value) for key, value in row.items()} for row in rows]
    assert failed(judge(scores_of(wet=wet), [], as_text))[WET] == check, "rows as csv reads them"


def test_a_check_fails_only_where_the_interval_lies_beyond_the_band():
    assert not failed(judge(scores_of(gradient_ratio=1.3, half_width=0.2), []))
    bad = judge(scores_of(gradient_ratio=1.3, half_width=0.1), [])
    assert set(failed(bad)) == {"gradient ratio"}
    assert "gradient ratio: 1.3 (90 % interval 1.17 to 1.43), expected 0.9 to 1.1" in summary(bad)


def test_a_distance_is_good_up_to_its_noise_floor():
    noisy = scores_of(lsd_db=2.5)
    noisy["validation"]["all_days"]["scores"]["lsd_db"]["floor"] = {"value": 2.2, "low": 2.0, "high": 2.6}
    assert not failed(judge(noisy, []))


def test_each_network_of_a_chain_has_its_own_checks():
    chain = [*log([8, 7, 6, 5, 4, 3], network="coarse"), *log([3.0, 2.0, 1.6, 1.5, 1.45, 1.44], network="fine")]
    bad = failed(judge(scores_of(), chain))
    assert set(bad) == {"epoch of lowest val_loss (coarse rain)"}
    assert "train.coarse_epochs 12" in bad["epoch of lowest val_loss (coarse rain)"]["advice"]


def test_a_value_just_outside_does_not_read_as_if_within():
    text = summary(judge(scores_of(gradient_ratio=1.10043), []))
    assert "gradient ratio: 1.10043, expected 0.9 to 1.1" in text


def test_low_correlation_of_a_calibrated_ensemble_is_no_fault():
    """The coarse fields limit how well rain can be foretold, so only the gap counts against the model."""
    assert not failed(judge(scores_of(correlation_member_truth=0.25, calibration_gap=0.01), []))
    bad = failed(judge(scores_of(correlation_member_truth=0.25, calibration_gap=-0.3), []))
    assert set(bad) == {"correlation of a member with the truth", "calibration gap"}


def test_posterior_is_judged_as_variations_not_as_a_forecast():
    verdict = judge(scores_of("posterior", spread_skill=0.1, calibration_gap=-0.3, correlation_member_truth=0.95), [])
    assert not failed(verdict)
    assert POSTERIOR_NOTE in summary(verdict)
    assert "do not measure skill" in POSTERIOR_NOTE
    copies = failed(judge(scores_of("posterior", diversity=0.002), []))
    assert set(copies) == {"diversity"}
    assert copies["diversity"]["advice"].startswith("Members are copies of the observed day.")
    far = failed(judge(scores_of("posterior", correlation_member_truth=0.3), []))
    assert set(far) == {"correlation of a member with the truth"}


@pytest.mark.parametrize(
    ("rows", "check", "advice"),
    [
        (log([3, 2, math.nan, math.nan]), "epochs with a NaN loss", "loss.lambda_grad 0.5"),
        (log([3, 2, 1.9, 1.89, 1.89, 1.89], [1.0] * 6), "fall of val_L_grad in training", "L_grad does not fall"),
        (log([8, 7, 6, 5, 4, 3]), "epoch of lowest val_loss", "train.epochs 12"),
        (log([2, 1, 3, 4, 5, 6, 7, 8, 9, 9, 9]), "epoch of lowest val_loss", "Halve train.lr"),
    ],
)
def test_training_that_went_wrong(rows, check, advice):
    bad = failed(judge(scores_of(), rows))
    assert set(bad) == {check}
    assert advice in bad[check]["advice"]
    as_text = [{key: str(value) for key, value in row.items()} for row in rows]
    assert failed(judge(scores_of(), as_text)) == bad, "rows as csv reads them"


def test_a_term_that_is_not_in_the_loss_is_an_empty_cell():
    rows = [{key: str(value) for key, value in row.items()} | {"val_L_crps": ""} for row in GOOD_LOG]
    assert judge(scores_of(), rows) == judge(scores_of(), GOOD_LOG)
    without = [row | {"val_L_grad": ""} for row in rows]
    (check,) = [c for c in judge(scores_of(), without)["checks"] if c["passed"] is None]
    assert check["check"] == "fall of val_L_grad in training"


def test_the_bands_of_the_verdict_are_those_of_the_catalogue(monkeypatch):
    narrow = tuple(replace(s, good=(0.99, 1.01)) if s.key == "p99_ratio" else s for s in catalogue.SCORES)
    monkeypatch.setattr(catalogue, "SCORES", narrow)
    bad = failed(judge(scores_of(p99_ratio=1.02), GOOD_LOG))
    assert {name: check["expected"] for name, check in bad.items()} == {"P99 ratio": "0.99 to 1.01"}


def test_what_cannot_be_computed_neither_passes_nor_fails():
    verdict = judge(scores_of(spread_skill=None, calibration_gap=None), log([2.0]))
    unknown = {check["check"] for check in verdict["checks"] if check["passed"] is None}
    assert unknown == {
        "spread / skill",
        "calibration gap",
        "fall of val_L_grad in training",
        "epoch of lowest val_loss",
    }
    assert f"all {len(verdict['checks']) - len(unknown)} checks passed" in summary(verdict)


def test_whole_days_are_not_judged_where_their_mean_is_given():
    """Where members keep the mass of the coarse cells, the spread of the domain mean is neither right nor wrong."""
    verdict = judge(scores_of(domain_spread_skill=None), [])
    assert "spread / skill of the domain mean" not in {check["check"] for check in verdict["checks"]}


@pytest.mark.parametrize("nothing", [{}, None])
def test_no_validation_day_left(nothing):
    nothing = scores_of() | {"validation": nothing}
    assert "sampling.min_threshold" in summary(judge(nothing, []))


def test_advice_names_keys_that_exist():
    """Every `section.key` in an advice is a key of the config, and every number given with it is allowed."""
    extremes = [
        {name: value for name in GOOD_SCORES} | {"mode": mode, "wet": wet}
        for value in (-9.0, 9.0)
        for mode in ("prior", "posterior")
        for wet in (0.2, 0.6, 1.0)
    ]
    logs = [log([math.nan] * 5), log([3.0] * 5, [1.0] * 5), log([9, 7, 5, 3, 1])]
    known = [[], *([{"threshold": auto, "auto": True}] for auto in (0.0, 0.4))]
    advices = [
        c["advice"]
        for e in extremes
        for rows in logs
        for thresholds in known
        for c in judge(scores_of(**e), rows, thresholds)["checks"]
    ]
    advices.append(judge(scores_of() | {"validation": None}, [])["checks"][0]["advice"])
    sections = {"loss": Loss, "model": Model, "train": Train, "sampling": Sampling}
    named = re.findall(r"\b(loss|model|train|sampling)\.(\w+)(?:: (\w+)| (?:to )?([\d.e-]*\d))?", " ".join(advices))
    assert len({key for _, key, *_ in named}) > 10
    for section, key, word, number in named:
        assert key in sections[section].model_fields, f"{section}.{key}"
        if word or number:
            value = word or (int(number) if number.isdigit() else float(number))
            sections[section].model_validate({key: value})
