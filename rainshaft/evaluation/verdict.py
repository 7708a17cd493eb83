"""The verification checklist: what passed, what failed, and the next edit of the config to try.

Inputs: the contents of `scores.json` and the rows of `train_log.csv`. Output: the content of `verdict.json`.
Pure: no file is read. All judged values are those of all test days.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

WET_POINTS = 0.03  # a wet fraction 3 points off is within the spread of a year's resampled days
DRIZZLE = 0.9  # more wet cells than this, where the truth has fewer: rain everywhere, not a matter of degree
MASS_BIAS = 0.05  # about the uncertainty of gridded observations of area rain
LEAST_CORRELATION = 0.4  # below it members share less than a sixth of their variance with the truth
CALIBRATION_GAP = 0.05  # the gap of an exchangeable ensemble is 0; this is about the noise of a hundred days
SPREAD_SKILL = (0.9, 1.1)  # 1 in a calibrated ensemble (Fortin et al. 2014)
DOMAIN_SPREAD_SKILL = (0.7, 1.4)  # the same of domain means: one number a day, so that a hundred days tell it less well
RATIO = (0.9, 1.1)  # extremes and gradients: what a user of the tail would still accept
RALSD_DB = 1.5  # the mean power at a scale is within a factor of 1.4
LEAST_DIVERSITY = 0.01  # members of the posterior below it are copies: the decoder ignores the latents
POSTERIOR_CORRELATION = 0.6  # variations of a day must still be that day
L_GRAD_FALL = 0.01  # less of a fall from the first epoch to the best is noise
STILL_FALLING = 0.05  # gain of the last quarter of the training that says it ended too soon
EARLY = 0.2  # a best epoch in the first fifth says that the rest was lost
LEAST_EPOCHS = 4  # fewer do not show a trend
COARSE = "coarse"  # name in the log of the network that draws the coarse rain

POSTERIOR_NOTE = "posterior members have seen the truth: their scores are no skill"

Check = dict[str, Any]


def judge(scores: dict[str, Any], log: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Judge an experiment.

    Parameters
    ----------
    scores
        Content of `scores.json`.
    log
        Rows of `train_log.csv`, values as numbers or text; empty where there is no training.

    Returns
    -------
    `name`, `mode`, `note` and `checks`, those first whose advice should be followed first. Each has `check`,
    `found`, `expected`, `passed` (None: could not be computed) and `advice` (empty where passed).
    """
    posterior = scores["mode"] == "posterior"
    trainings = _by_network(log)
    block = scores["all_days"]
    checks = [_training_is_finite(*training) for training in trainings.items()]
    if block is None:
        checks.append(
            _check(
                "test days", 0, "at least 1", False, "no test day has members left: lower sampling.min_threshold to 0.0"
            )
        )
    else:
        checks += [_wet_fraction(block), _mass_bias(block)]
        checks += _nearness(block) if posterior else _calibration(block)
        checks += _realism(block)
    for training in trainings.items():
        checks += [_gradient_falls(*training), _training_length(*training)]
    note = POSTERIOR_NOTE if posterior else ""
    return {"name": scores["name"], "mode": scores["mode"], "note": note, "checks": checks}


def summary(verdict: dict[str, Any]) -> str:
    """Plain text for the terminal: how many checks passed, the next edit, and a line for each failed check."""
    judged = [check for check in verdict["checks"] if check["passed"] is not None]
    failed = [check for check in judged if not check["passed"]]
    head = f"{verdict['name']}, {verdict['mode']}: "
    if not failed:
        head += f"all {len(judged)} checks passed"
    else:
        head += f"{len(judged) - len(failed)} of {len(judged)} checks passed; next: {failed[0]['advice']}"
    lines = [head]
    lines += [f"  {check['check']}: {_text(check)}, expected {check['expected']}" for check in failed]
    if verdict.get("note"):
        lines.append(f"  ({verdict['note']})")
    return "\n".join(lines)


def _text(check: Check) -> str:
    """What was found, with as many digits as tell it from what was expected."""
    if check["found"] is None:
        return "none"
    short = f"{check['found']:.3g}"
    return f"{check['found']:.6g}" if short in check["expected"].split() else short


# --------------------------------------------------------------------------------------------- checks


def _check(name: str, found: float | None, expected: str, passed: bool | None, advice: str) -> Check:
    return {
        "check": name,
        "found": found,
        "expected": expected,
        "passed": passed,
        "advice": {True: "", False: advice, None: "could not be computed"}[passed],
    }


def _within(name: str, found: float | None, low: float, high: float, too_low: str, too_high: str) -> Check:
    """Check that a value lies in a range, with one advice for each side."""
    passed = None if found is None else low <= found <= high
    expected = f"{low:.3g} to {high:.3g}"
    return _check(name, found, expected, passed, too_low if found is not None and found < low else too_high)


def _score(block: dict[str, Any], name: str) -> float | None:
    return block["scores"][name]["value"]


def _wet_fraction(block: dict[str, Any]) -> Check:
    found, observed = block["samples"]["wet_fraction"], block["observed"]["wet_fraction"]
    if found is not None and found > DRIZZLE:
        too_wet = (
            "drizzle everywhere: raise loss.lambda_grad to 3.0 or sampling.pixel_threshold to 3.0; "
            "loss.lambda_crps 1.0 goes to the root of it"
        )
    else:
        too_wet = "sampling.pixel_threshold: auto sets the observed wet fraction, without training again"
    too_dry = "lower sampling.pixel_threshold to 0.1, or sampling.pixel_threshold: auto"
    low, high = max(0.0, observed - WET_POINTS), min(1.0, observed + WET_POINTS)
    return _within("wet fraction", found, low, high, too_dry, too_wet)


def _mass_bias(block: dict[str, Any]) -> Check:
    source = (
        "where the coarse rain is true, model.conserve: cells; where it is biased, model.conserve: drawn with "
        "loss.lambda_mass 0.3; where there is none, loss.lambda_mass 0.3"
    )
    return _within(
        "mass bias",
        _score(block, "mass_bias"),
        -MASS_BIAS,
        MASS_BIAS,
        f"too little rain: {source}, then sampling.temperature 1.1; a high sampling.pixel_threshold takes mass too",
        f"too much rain: {source}",
    )


def _calibration(block: dict[str, Any]) -> list[Check]:
    """What shows whether the truth could be one of the members: of the prior only."""
    correlation, gap = _score(block, "correlation_member_truth"), _score(block, "calibration_gap")
    # ASSUME a low correlation of a calibrated ensemble is what the coarse fields allow: a limit, not a fault
    enough: bool | None = None
    if correlation is not None:
        enough = correlation >= LEAST_CORRELATION or (gap is not None and abs(gap) <= CALIBRATION_GAP)
    alike = "members are more like each other than like the truth: loss.lambda_crps 1.0, or more train.epochs"
    unlike = "members are less like each other than like the truth: sampling.temperature 0.9, or more train.epochs"
    whole_days = _within(
        "spread / skill of the domain mean",
        _score(block, "domain_spread_skill"),
        *DOMAIN_SPREAD_SKILL,
        "members hardly differ as whole days: with coarse rain, model.conserve: drawn and model.coarser_scales 3; "
        "without, one more of model.coarser_scales",
        "members differ too much as whole days: sampling.temperature 0.9, without training again",
    )
    checks = [
        _check(
            "correlation of a member with the truth",
            correlation,
            f"at least {LEAST_CORRELATION:g}, or as high as between members",
            enough,
            "loss.lambda_grad 1.0 and loss.w_min 0.3",
        ),
        _within(
            "spread / skill",
            _score(block, "spread_skill"),
            *SPREAD_SKILL,
            "members are too alike: loss.lambda_crps 1.0 with loss.crps_alpha 1.0; with both, sampling.temperature 1.1",
            "members differ too much: sampling.temperature 0.9, without training again",
        ),
        _within("calibration gap", gap, -CALIBRATION_GAP, CALIBRATION_GAP, alike, unlike),
    ]
    return checks if whole_days["found"] is None else [*checks, whole_days]  # none where the coarse rain gives it


def _nearness(block: dict[str, Any]) -> list[Check]:
    """What members of the posterior are for: variations of the observed day, near it and no copies."""
    return [
        _within(
            "correlation of a member with the truth",
            _score(block, "correlation_member_truth"),
            POSTERIOR_CORRELATION,
            1.0,
            "the variations are not near the day: sampling.posterior_scales: all; with it, loss.lambda_rec 2.0 or "
            "loss.beta_kl 0.3",
            "",
        ),
        _within(
            "diversity",
            _score(block, "diversity"),
            LEAST_DIVERSITY,
            1.0,
            "the members are copies: sampling.posterior_scales below the number of scales (augmented/tradeoff.png), or "
            "sampling.temperature 1.2 for a little, without training again; else model.prior: learned, "
            "loss.lambda_crps 1.0 and loss.beta_kl 1.0",
            "",
        ),
    ]


def _realism(block: dict[str, Any]) -> list[Check]:
    """What a single member must have, whichever mode it is from."""
    return [
        _within(
            "P99 ratio",
            _score(block, "p99_ratio"),
            *RATIO,
            "extremes are too weak: loss.tail_boost 2.0 or loss.w_max 10.0",
            "extremes are too strong: loss.tail_boost 1.0 and loss.w_max 5.0",
        ),
        _within(
            "gradient ratio",
            _score(block, "gradient_ratio"),
            *RATIO,
            "too smooth: loss.lambda_crps 1.0 with loss.crps_grad 2.0, or raise loss.lambda_grad to 2.0; "
            "in the posterior, loss.posterior_members 2",
            "too rough: lower loss.lambda_grad to 0.1, or loss.beta_kl 1.0",
        ),
        _within(
            "RALSD (dB)",
            _score(block, "ralsd_db"),
            0.0,
            RALSD_DB,
            "",
            "power at some scales is off: loss.lambda_crps 1.0 with loss.crps_grad 2.0 and loss.crps_spectrum 0.1, "
            "then more train.epochs",
        ),
    ]


def _by_network(log: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, float]]]:
    """The rows of each network as numbers; by the words that are added to the names of its checks."""
    trainings: dict[str, list[dict[str, float]]] = {}
    for row in log:
        words = " (coarse rain)" if row["network"] == COARSE else ""
        rows = trainings.setdefault(words, [])
        rows.append({key: float(value) for key, value in row.items() if key != "network"})
    return trainings


def _training_is_finite(words: str, rows: list[dict[str, float]]) -> Check:
    bad = sum(not all(math.isfinite(v) for k, v in row.items() if k.endswith("_loss")) for row in rows)
    return _check(
        f"epochs with a NaN loss{words}",
        bad,
        "0",
        bad == 0,
        "the loss became NaN: loss.lambda_grad 0.5 and a quarter of train.lr",
    )


def _gradient_falls(words: str, rows: list[dict[str, float]]) -> Check:
    values = _finite(rows, "val_L_grad")
    name, expected = f"fall of val_L_grad in training{words}", f"at least {L_GRAD_FALL:g}"
    if len(values) < 2 or values[0] <= 0:
        return _check(name, None, expected, None, "")
    fall = 1 - min(values) / values[0]
    return _check(
        name,
        fall,
        expected,
        fall >= L_GRAD_FALL,
        "L_grad does not fall: raise loss.lambda_grad to 2.0; where it jumps, half of train.lr",
    )


def _training_length(words: str, rows: list[dict[str, float]]) -> Check:
    """The epoch of the lowest loss is neither among the first, nor does the loss still fall when the training ends."""
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
    more = f"the loss still falls at the end: train.{'coarse_epochs' if words else 'epochs'} {2 * count}"
    less = "the loss rises from the first epochs on: half of train.lr, and train.weight_decay 0.05"
    advice = more if still_falling else less
    return _check(name, best + 1, expected, not (too_early or still_falling), advice)


def _finite(rows: list[dict[str, float]], column: str) -> list[float]:
    return [row[column] for row in rows if math.isfinite(row.get(column, math.nan))]
