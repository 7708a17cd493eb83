"""The verdict on an experiment: what is good, what is not, and which edit of the configuration to try next.

Inputs: the contents of `scores.json` and the rows of `train_log.csv`. Output: the content of `verdict.json`. No file is
read.

All judged values are those of all validation days. Test days are not asked, since the advice is followed, and whoever
tunes on test days has none left. The bands of good values are those of `catalogue.SCORES`. A check fails only where the
90 % interval of the score lies beyond the band: what noise can explain is no fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

DRIZZLE = 0.9  # a larger wet fraction, where the truth has a smaller one: it rains everywhere
LEAST_CORRELATION = 0.4  # below it, members share less than a sixth of their variance with the truth
NO_CORRELATION = 0.05  # below it, members have nothing to do with the days: so their predictors have not, either
OTHER_SIZE = 8.0  # drizzle and thresholds change the mass by less; wrong units change it by more
LEAST_DIVERSITY = 0.01  # members of the posterior below it are copies: the decoder ignores the latents
POSTERIOR_CORRELATION = 0.6  # variations of a day must still be that day
L_GRAD_FALL = 0.01  # a smaller fall from the first epoch to the best is noise
STILL_FALLING = 0.05  # a larger gain in the last quarter of the training says that it ended too soon
EARLY = 0.2  # a best epoch in the first fifth says that the rest was lost
LEAST_EPOCHS = 4  # fewer do not show a trend
COARSE = "coarse"  # name in the log of the network that draws the coarse rain

POSTERIOR_NOTE = "members of the posterior have seen the truth, so their scores do not measure skill"

NO_SKILL_NOTE = (
    "members have nothing to do with the rain of their days: compare the fair CRPS with that of the climatology, and "
    "the predictors with the rain, by `rainshaft check CONFIG`"
)

Check = dict[str, Any]
Block = Mapping[str, Any]


def judge(
    scores: Mapping[str, Any], log: Sequence[Mapping[str, Any]], thresholds: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Judge an experiment.

    Parameters
    ----------
    scores
        Content of `scores.json`.
    log
        Rows of `train_log.csv`, values as numbers or as text. Without a training there are none.
    thresholds
        Rows of `thresholds.csv`, values as numbers or as text, where they were traced. The advice then says which pixel
        threshold `auto` takes.

    Returns
    -------
    `name`, `mode`, `note` and `checks`. The advice of the first failed check should be followed first. Each check has
    `check`, `found`, the ends `low` and `high` of its 90 % interval where they are known, `expected`, `passed` (None:
    could not be computed) and `advice` (empty where it passed).
    """
    posterior = scores["mode"] == "posterior"
    trainings = _by_network(log)
    block = (scores["validation"] or {}).get("all_days")
    checks = [_training_is_finite(*training) for training in trainings.items()]
    if block is None:
        advice = "No validation day has members left. Lower sampling.min_threshold to 0.0, or name validation days."
        checks.append(_check("validation days", 0, "at least 1", False, advice))
    else:
        checks += [*_input(block, posterior), _wet_fraction(block, _auto(thresholds)), _mass_bias(block)]
        checks += _nearness(block) if posterior else _calibration(block)
        checks += _realism(block)
    for training in trainings.items():
        checks += [_gradient_falls(*training), _training_length(*training)]
    note = POSTERIOR_NOTE if posterior else _note(block)
    return {"name": scores["name"], "mode": scores["mode"], "note": note, "checks": checks}


def without_advice(verdict: dict[str, Any]) -> dict[str, Any]:
    """Take the advice off a verdict: another model has no settings here that an edit could change."""
    return verdict | {"checks": [check | {"advice": ""} for check in verdict["checks"]]}


def summary(verdict: Mapping[str, Any]) -> str:
    """Write for the terminal how many checks passed, the next edit, and a line for each failed check."""
    judged = [check for check in verdict["checks"] if check["passed"] is not None]
    failed = [check for check in judged if not check["passed"]]
    head = f"{verdict['name']}, {verdict['mode']}, judged on validation days: "
    if not failed:
        head += f"all {len(judged)} checks passed"
    else:
        head += f"{len(judged) - len(failed)} of {len(judged)} checks passed"
        head += f"; next: {failed[0]['advice']}" if failed[0]["advice"] else ""
    lines = [head]
    lines += [f"  {check['check']}: {found_text(check)}, expected {check['expected']}" for check in failed]
    if verdict.get("note"):
        lines.append(f"  ({verdict['note']})")
    return "\n".join(lines)


def found_text(check: Check) -> str:
    """Write what a check found, with its interval, or with enough digits to tell it from what was expected."""
    short = f"{check['found']:.3g}"
    if check["low"] is not None:
        return f"{short} (90 % interval {check['low']:.3g} to {check['high']:.3g})"
    return f"{check['found']:.6g}" if short in check["expected"].split() else short


# --------------------------------------------------------------------------------------------- checks


def _check(
    name: str,
    found: float | None,
    expected: str,
    passed: bool | None,
    advice: str,
    interval: tuple[float | None, float | None] = (None, None),
) -> Check:
    return {
        "check": name,
        "found": found,
        "low": interval[0],
        "high": interval[1],
        "expected": expected,
        "passed": passed,
        "advice": "could not be computed" if passed is None else "" if passed else advice,
    }


def _within(
    name: str, found: Mapping[str, float | None], low: float, high: float, too_low: str, too_high: str
) -> Check:
    """Check that a score may lie in a range, with one advice for each side.

    It fails where its interval lies beyond the range. Without an interval, the value itself must lie in it.
    """
    value = found["value"]
    least, most = found.get("low"), found.get("high")
    if value is None:
        passed, advice = None, ""
    else:
        is_low = (value if most is None else most) < low
        is_high = (value if least is None else least) > high
        passed, advice = not (is_low or is_high), too_low if is_low else too_high
    return _check(name, value, f"{low:.3g} to {high:.3g}", passed, advice, (least, most))


def _in_its_band(block: Block, key: str, too_low: str, too_high: str) -> Check:
    """Check that a score of the catalogue lies in its band of good values, in the unit of `scores.json`."""
    from rainshaft.evaluation.catalogue import score_of  # late: `summary` runs in Snakemake, which need not wait for it

    score = score_of(key)
    band = score.band(score.found(block))
    if band is None:
        raise ValueError(f"the catalogue has no band of good values for {key}")
    unit = f" ({score.unit})" if score.unit and score.factor == 1 else ""
    return _within(score.title + unit, score.found(block), band[0], band[2], too_low, too_high)


def _value(block: Block, name: str) -> float | None:
    return block["scores"][name]["value"]


def _note(block: Block | None) -> str:
    """Say where a calibrated ensemble knows nothing of its days. That is no fault, but it is no skill, either."""
    correlation = None if block is None else _value(block, "correlation_member_truth")
    return NO_SKILL_NOTE if correlation is not None and correlation < NO_CORRELATION else ""


def _input(block: Block, posterior: bool) -> list[Check]:
    """Blame the input where a score is so absurd that no setting mends it. Elsewhere there is nothing to check."""
    cure = (
        "Look at the input before any setting: `rainshaft check CONFIG` compares the day, the units and the place of "
        "each predictor with the rain."
    )
    checks = []
    correlation, bias = _value(block, "correlation_member_truth"), _value(block, "mass_bias")
    alike = (
        _in_its_band(block, "calibration_gap", "", "")["passed"] is False
    )  # members resemble each other, not the truth
    if not posterior and correlation is not None and correlation < NO_CORRELATION and alike:
        advice = f"The members have nothing to do with the rain of their days. {cure}"
        checks.append(
            _check("input: days of the predictors", correlation, f"at least {NO_CORRELATION:g}", False, advice)
        )
    if bias is not None and not 1 / OTHER_SIZE <= 1 + bias <= OTHER_SIZE:
        advice = f"The members have rain of another size. {cure}"
        expected = f"a factor of {1 / OTHER_SIZE:.2g} to {OTHER_SIZE:g}"
        checks.append(_check("input: size of the rain", 1 + bias, expected, False, advice))
    return checks


def _auto(thresholds: Sequence[Mapping[str, Any]]) -> float | None:
    """Give the pixel threshold that `auto` takes, in mm/day; None where it is not known."""
    return next((float(row["threshold"]) for row in thresholds if str(row["auto"]) == "True"), None)


def _wet_fraction(block: Block, auto: float | None) -> Check:
    """Check the wet fraction; `auto` is the threshold in mm/day that makes it right, where it is known."""
    found = _value(block, "wet_fraction")
    here = "" if auto is None else f", which is {auto:.2g} mm/day here,"
    if found is not None and found > DRIZZLE:
        cure = "sampling.pixel_threshold to 3.0" if auto is None else f"sampling.pixel_threshold to {auto:.2g}"
        too_wet = (
            f"It drizzles everywhere. Raise loss.lambda_grad to 3.0 or {cure}. "
            "The lasting cure is loss.lambda_crps 1.0."
        )
    else:
        too_wet = (
            f"Too many cells are wet. With sampling.pixel_threshold: auto{here} as many are wet as observed; nothing "
            "is trained again."
        )
    if auto == 0:
        too_dry = (
            "Too few cells are wet. Here, sampling.pixel_threshold: auto is 0 mm/day. If yours is 0.1 or less already, "
            "it is not the cause: try more train.epochs."
        )
    elif auto is None:
        too_dry = "Too few cells are wet. Lower sampling.pixel_threshold to 0.1, or use sampling.pixel_threshold: auto."
    else:
        too_dry = (
            f"Too few cells are wet. With sampling.pixel_threshold: auto{here} as many are wet as observed; nothing is "
            "trained again."
        )
    return _in_its_band(block, "wet_difference", too_dry, too_wet)


def _mass_bias(block: Block) -> Check:
    cures = (
        "If the coarse rain is true, use model.conserve: cells. If it is biased, use model.conserve: drawn with "
        "loss.lambda_mass 0.3. If no predictor is rain, use loss.lambda_mass 0.3."
    )
    return _in_its_band(
        block,
        "mass_bias",
        f"There is too little rain. {cures} Then try sampling.temperature 1.1. A high sampling.pixel_threshold removes "
        "rain, too.",
        f"There is too much rain. {cures}",
    )


def _calibration(block: Block) -> list[Check]:
    """Check whether the truth could be one of the members. The posterior is not asked: it has seen the truth."""
    gap = _in_its_band(
        block,
        "calibration_gap",
        "Members are more like each other than like the truth. Try loss.lambda_crps 1.0, or more train.epochs.",
        "Members are less like each other than like the truth. Try sampling.temperature 0.9, or more train.epochs.",
    )
    correlation = _value(block, "correlation_member_truth")
    # ASSUME a calibrated ensemble has a low correlation because the coarse fields do not tell more. That is no fault.
    highest = block["scores"]["correlation_member_truth"]["high"]
    enough = None
    if correlation is not None:
        enough = max(correlation, highest or correlation) >= LEAST_CORRELATION or gap["passed"] is True
    checks = [
        _check(
            "correlation of a member with the truth",
            correlation,
            f"at least {LEAST_CORRELATION:g}, or as high as between members",
            enough,
            "Members resemble the truth too little. Try loss.lambda_grad 1.0 with loss.w_min 0.3.",
        ),
        _in_its_band(
            block,
            "spread_skill",
            "Members are too alike. Try loss.lambda_crps 1.0 with loss.crps_alpha 1.0. If you have both, try "
            "sampling.temperature 1.1.",
            "Members differ too much. Try sampling.temperature 0.9; nothing is trained again.",
        ),
        gap,
    ]
    if _value(block, "domain_spread_skill") is not None:  # None where the coarse rain gives the mean over the domain
        whole_days = _in_its_band(
            block,
            "domain_spread_skill",
            "Members hardly differ as whole days. With coarse rain, try model.conserve: drawn with "
            "model.coarser_scales 3. Without, try model.conserve: drawn with model.coarse: dense.",
            "Members differ too much as whole days. Try sampling.temperature 0.9; nothing is trained again.",
        )
        checks.append(whole_days)
    return checks


def _nearness(block: Block) -> list[Check]:
    """Check whether members of the posterior serve their purpose: near the observed day, but no copies of it."""
    return [
        _within(
            "correlation of a member with the truth",
            block["scores"]["correlation_member_truth"],
            POSTERIOR_CORRELATION,
            1.0,
            "Members are not near the observed day. Use sampling.posterior_scales: all. If you have it, try "
            "loss.lambda_rec 2.0 or loss.beta_kl 0.3.",
            "",
        ),
        _within(
            "diversity",
            block["scores"]["diversity"],
            LEAST_DIVERSITY,
            1.0,
            "Members are copies of the observed day. Let fewer scales see it: set sampling.posterior_scales by "
            "augmented/tradeoff.png. For a little more diversity, try sampling.temperature 1.2. Neither trains again. "
            "The lasting cure is model.prior: learned with loss.lambda_crps 1.0 and loss.beta_kl 1.0.",
            "",
        ),
    ]


def _realism(block: Block) -> list[Check]:
    """Check what a single member must have, from the prior or from the posterior."""
    return [
        _in_its_band(
            block,
            "p99_ratio",
            "Extremes are too weak. Try loss.tail_boost 2.0 or loss.w_max 10.0.",
            "Extremes are too strong. Try loss.tail_boost 1.0 and loss.w_max 5.0.",
        ),
        _in_its_band(
            block,
            "gradient_ratio",
            "The rain is too smooth. Try loss.lambda_crps 1.0 with loss.crps_grad 2.0, or raise loss.lambda_grad to "
            "2.0. For the posterior, try loss.posterior_members 2.",
            "The rain is too rough. Lower loss.lambda_grad to 0.1, or try loss.beta_kl 1.0.",
        ),
        _in_its_band(
            block,
            "lsd_db",
            "",
            "The power spectrum is off at some scales. Try loss.lambda_crps 1.0 with loss.crps_grad 2.0 and "
            "loss.crps_spectrum 0.1, then more train.epochs.",
        ),
    ]


def _by_network(log: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, float]]]:
    """Sort the rows by network, as numbers. The key is what is added to the names of the checks of a network.

    A cell is empty where a term is not in the loss.
    """
    trainings: dict[str, list[dict[str, float]]] = {}
    for row in log:
        words = " (coarse rain)" if row["network"] == COARSE else ""
        numbers = {key: float(value) for key, value in row.items() if key != "network" and value != ""}
        trainings.setdefault(words, []).append(numbers)
    return trainings


def _training_is_finite(words: str, rows: list[dict[str, float]]) -> Check:
    bad = sum(not all(math.isfinite(v) for k, v in row.items() if k.endswith("_loss")) for row in rows)
    advice = "The loss became NaN. Try loss.lambda_grad 0.5 and a quarter of train.lr."
    return _check(f"epochs with a NaN loss{words}", bad, "0", bad == 0, advice)


def _gradient_falls(words: str, rows: list[dict[str, float]]) -> Check:
    values = _finite(rows, "val_L_grad")
    name, expected = f"fall of val_L_grad in training{words}", f"at least {L_GRAD_FALL:g}"
    if len(values) < 2 or values[0] <= 0:
        return _check(name, None, expected, None, "")
    fall = 1 - min(values) / values[0]
    advice = "L_grad does not fall. Raise loss.lambda_grad to 2.0. If L_grad jumps up and down, halve train.lr."
    return _check(name, fall, expected, fall >= L_GRAD_FALL, advice)


def _training_length(words: str, rows: list[dict[str, float]]) -> Check:
    """Check that the loss is lowest after the first epochs, and that it no longer falls at the end."""
    losses = _finite(rows, "val_loss")
    count = len(losses)
    name, expected = (
        f"epoch of lowest val_loss{words}",
        f"after the first {EARLY:.0%} of {count}, with a loss that has levelled off",
    )
    if count < LEAST_EPOCHS:
        return _check(name, None, expected, None, "")
    best = min(range(count), key=losses.__getitem__)
    before = min(losses[: math.ceil(0.75 * count)])
    too_early = best < EARLY * count
    still_falling = losses[best] < before - STILL_FALLING * abs(before)
    if still_falling:
        key = "train.coarse_epochs" if words else "train.epochs"
        advice = f"The loss still falls at the end. Train longer: {key} {2 * count}."
    else:
        advice = "The loss rises from the first epochs on. Halve train.lr, and try train.weight_decay 0.05."
        if words:
            advice += " With model.coarse: dense these have no effect, and only more training days help."
    return _check(name, best + 1, expected, not (too_early or still_falling), advice)


def _finite(rows: list[dict[str, float]], column: str) -> list[float]:
    return [row[column] for row in rows if math.isfinite(row.get(column, math.nan))]
