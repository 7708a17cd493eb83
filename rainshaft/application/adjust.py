"""Predictors of an imperfect climate, brought to the climate in which a model was trained.

Why: a climate model is too warm here and too wet there. A downscaling model takes such errors for weather. So the
errors are estimated from a reference run, which is the same climate model over the training period, and taken off. The
change from the reference run to the application is kept, because it is what the application is about.

Inputs: predictors of some days, in canonical units, and three climates by month and cell (`climate_of`): of the
training days, of the reference run, and of the whole application. Output: the same predictors, adjusted. Each cell,
channel and calendar month is adjusted by itself. So the correction steps from one month to the next. For
CNRM-CM5 over Iberia in winter the mean steps by 0.3 standard deviations of the days at most. A downscaling model sees
each day alone, so such a step harms it little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.climate import KINDS, MONTH_NAMES, Kind, month_blocks, require_same_cells
from rainshaft.errors import UserError

Method = Literal["delta", "quantile"]
Array = NDArray[np.float64]

TRACE = 0.05  # mm/day; less rain than this is none (Cannon et al. 2015)
MOST_CHANGE = 2.0  # factor between reference run and application, where the reference run has
LITTLE_RAIN = 10 * TRACE  # less rain than this; the bounds of R package MBC by the author of the method
MOST_FACTOR = 10.0  # of the means of rain in the method `delta`; larger ones come from deserts of one climate  # ASSUME
MOST_YEARS_APART = 25  # the middles of reference and training; the climate is then nearly the same  # ASSUME
LEAST_DAYS = 20  # of a month in a climate; the mean and the quantiles of fewer days are weather  # ASSUME
MOST_BIAS = 5.0  # standard deviations of the days; a larger bias is another unit or variable  # ASSUME
MOST_TIMES = 5.0  # the same of the mean rain, as a factor  # ASSUME
TINY = 1e-6  # mm/day; keeps a quotient finite
FULL = {"%": 100.0, "percent": 100.0, "1": 1.0}
"""units of a share to its largest value"""


def adjust(
    predictors: xr.Dataset, method: Method, trained: xr.Dataset, reference: xr.Dataset, own: xr.Dataset | None = None
) -> xr.Dataset:
    """Bring predictors from the climate of a reference run to the climate in which a model was trained.

    `delta` adds the difference of the monthly means of `trained` and `reference`. Rain is multiplied by the quotient of
    the means. Means below 0.05 mm/day count as 0.05 mm/day, and the quotient is kept between 1/10 and 10.

    `quantile` is quantile delta mapping. For a value x, tau is its share in the distribution of `own`. Then

        x' = x + F_trained^-1(tau) - F_reference^-1(tau)                  (Cannon et al., equations 3, 4 and 6 as sums)

    and for rain x' = F_trained^-1(tau) * x / F_reference^-1(tau) (equations 3 to 6). So the change of each quantile
    from reference to application stays what the climate model says. The quotient is at most 2 where the reference has
    less than 0.5 mm/day, and what is then below 0.05 mm/day becomes 0. Dry days stay dry: a climate model with too much
    drizzle is put right, but one with too few wet days is not.

    Parameters
    ----------
    predictors
        `predictors(time, ..., channel, y, x)` and `context(time, ..., context_channel, v, u)` in canonical units.
    method
        `delta` or `quantile`.
    trained, reference, own
        The climates (`climate_of`) of the training days, of the reference run, and of the application. Only `quantile`
        reads `own`. All its years are one distribution. So adjust a run over a century in periods of some 30 years:
        otherwise the last years get the correction of hot days on each of their days.

    Returns
    -------
    The dataset with adjusted predictors and context, float32.

    Raises
    ------
    UserError
        If cells or channels differ, a climate has fewer than 20 days of a month that the predictors have, or the
        reference differs so much from the training that it must be another unit or variable.

    Notes
    -----
    All tables hold a few quantiles only, and tau is interpolated between them. Beyond the quantiles at 0.5 % and 99.5 %
    the correction is that of these, because the extremes of two climates differ by chance. In a trial with known truth
    (900 days) this halved the error of the highest rain. QuantileDeltaMapping of xsdba 0.7 at the same levels, on 30
    years of synthetic data with a trend, gives temperatures that differ by at most 0.33 K (99 % of them by less than
    0.08 K) and rain that differs by at most 1.4 mm/day (99 % by less than 0.16 mm/day), all in the tails.

    A channel that is never negative in any of the three climates stays so, and shares (units `%` or `1`) that are never
    above 100 % stay so, too. This holds humidity without knowing its name. Temperatures and pressures never get there.

    References
    ----------
    Cannon, Sobie and Murdock 2015, doi:10.1175/JCLI-D-14-00754.1. Bounds of rain: R package MBC of A. J. Cannon.
    """
    climates = {"the training": trained, "the reference run": reference}
    if method == "quantile":
        assert own is not None, "the method `quantile` compares with the climate of the application"
        climates["the application"] = own
    for name, climate in climates.items():
        require_same_cells(predictors, climate, "predictors", f"the climate of {name}")
    _require_months(predictors, climates)
    _require_alike(predictors, trained, reference)
    adjusted = predictors.copy()
    for kind in KINDS:
        adjusted[kind.name] = predictors[kind.name].copy(data=_adjusted(predictors, kind, method, [*climates.values()]))
    return adjusted


def require_period(years: Sequence[int], trained: Sequence[int], key: str) -> None:
    """Refuse a reference run of another time than the training days.

    The change from the reference to the application is kept. So a reference of a future time would remove it.

    Parameters
    ----------
    years, trained
        Years of the reference run, and of the record that the model was trained on.
    key
        Where the years of the reference stand in the configuration, for the message.
    """
    apart = abs(min(years) + max(years) - min(trained) - max(trained)) / 2
    if apart > MOST_YEARS_APART:
        raise UserError(
            f"{key}: found {min(years)} to {max(years)}, whose middle is {apart:g} years from that of the training, "
            f"{min(trained)} to {max(trained)}, expected at most {MOST_YEARS_APART}: the reference shall have the "
            "climate that the training days had. Take years near those of the training from the same climate model"
        )


def _require_months(predictors: xr.Dataset, climates: dict[str, xr.Dataset]) -> None:
    for name, climate in climates.items():
        for month, places in month_blocks(predictors):
            if (days := int(climate["days"].sel(month=month))) < LEAST_DAYS:
                raise UserError(
                    f"adjust: found {len(places)} days in {MONTH_NAMES[month - 1]} to adjust, but {name} has {days} "
                    f"days in this month, expected at least {LEAST_DAYS} to know its climate; leave this month out of "
                    "the predictors, give more years, or set adjust: none"
                )


def _require_alike(predictors: xr.Dataset, trained: xr.Dataset, reference: xr.Dataset) -> None:
    """Refuse what no climate model has for a bias. An adjustment would hide it, and the range would look right."""
    months = [month for month, _ in month_blocks(predictors)]
    for kind in KINDS:
        for channel, name in enumerate(predictors[kind.channel].values):
            mean, other, std = (
                climate[f"{kind.prefix}{part}"].sel(month=months).isel({kind.channel: channel}).values.astype("f8")
                for climate, part in ((trained, "mean"), (reference, "mean"), (trained, "std"))
            )
            if name == predictors.attrs["rain_channel"] and kind.channel == "channel":
                times = max(float(other.mean()), TRACE) / max(float(mean.mean()), TRACE)
                is_far, words = not 1 / MOST_TIMES <= times <= MOST_TIMES, f"{times:.3g} times the mean rain"
            else:
                usual = float(np.sqrt(np.square(std).mean()))
                bias = float(np.abs(other - mean).mean())
                is_far = bias > MOST_BIAS * usual > 0
                words = f"means that are {bias:.3g} {predictors[kind.units].values[channel]} away from those"
            if is_far:
                raise UserError(
                    f"adjust: found {name} of the reference run with {words} of the training, expected the bias of a "
                    f"climate model (at most {MOST_BIAS:g} standard deviations of the days, or {MOST_TIMES:g} times "
                    "the rain); it must be another variable or unit: correct it, an adjustment would hide it"
                )


def _adjusted(predictors: xr.Dataset, kind: Kind, method: Method, climates: list[xr.Dataset]) -> NDArray[np.float32]:
    """Adjust all channels of a kind, one month of a channel after the other."""
    data = predictors[kind.name]
    values = data.values.astype("f4", copy=True)
    axis = data.dims.index(kind.channel)
    for channel, name in enumerate(predictors[kind.channel].values):
        is_rain = name == predictors.attrs["rain_channel"] and kind.channel == "channel"
        lowest, highest = _bounds(kind, channel, str(predictors[kind.units].values[channel]), climates)
        for month, days in month_blocks(predictors):
            at: Any = (days, *[slice(None)] * (axis - 1), channel)
            here = values[at].reshape(-1, int(np.prod(values.shape[axis + 1 :]))).astype("f8")
            change = _delta if method == "delta" else _quantile_delta
            tables = [_table(climate, kind, month, channel, method) for climate in climates]
            here = change(here, is_rain, *tables)
            values[at] = np.clip(here, lowest, highest).reshape(values[at].shape)
    return values


def _table(climate: xr.Dataset, kind: Kind, month: int, channel: int, method: Method) -> Array:
    """The mean of each cell (1, cell), or its quantiles (level, cell)."""
    name = "mean" if method == "delta" else "quantiles"
    table = climate[f"{kind.prefix}{name}"].sel(month=month).isel({kind.channel: channel}).values
    return table.reshape(1 if method == "delta" else len(table), -1).astype("f8")


def _bounds(kind: Kind, channel: int, units: str, climates: list[xr.Dataset]) -> tuple[float, float]:
    """The values that a channel cannot leave, told by the values that it has in the climates."""
    low, high = (
        [float(reduced(climate[f"{kind.prefix}{name}"].isel({kind.channel: channel}).values)) for climate in climates]
        for reduced, name in ((np.nanmin, "minimum"), (np.nanmax, "maximum"))
    )
    full = FULL.get(units, np.inf)
    return 0.0 if min(low) >= 0 else -np.inf, full if max(high) <= full else np.inf


def _delta(values: Array, is_rain: bool, trained: Array, reference: Array) -> Array:
    """Shift (value, cell) by the difference of means (1, cell), or scale by their quotient."""
    if not is_rain:
        return values + (trained - reference)
    factor = np.maximum(trained, TRACE) / np.maximum(reference, TRACE)
    return values * np.clip(factor, 1 / MOST_FACTOR, MOST_FACTOR)


def _quantile_delta(values: Array, is_rain: bool, trained: Array, reference: Array, own: Array) -> Array:
    """Quantile delta mapping of (value, cell) with tables (level, cell) at the same levels."""
    place = np.zeros(values.shape, "i2")  # of the quantile of `own` below a value
    for quantile in own[1:-1]:
        place += values >= quantile
    low, high = (np.take_along_axis(own, place + i, 0) for i in (0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(high > low, np.clip((values - low) / (high - low), 0, 1), values >= high)

    def at_tau(table: Array) -> Array:
        ends = [table[1], *table[1:-1], table[-2]]
        low, high = (np.take_along_axis(np.stack(ends), place + i, 0) for i in (0, 1))
        return low + share * (high - low)

    if not is_rain:
        return values + at_tau(trained - reference)
    of_reference = at_tau(reference)
    change = values / np.maximum(of_reference, TINY)
    change = np.where(of_reference < LITTLE_RAIN, np.minimum(change, MOST_CHANGE), change)
    rain = at_tau(trained) * change
    return np.where(rain < TRACE, 0.0, rain)
