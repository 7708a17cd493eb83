"""A stochastic weather generator: sharp daily rain on a fine grid and the coarse weather that goes with it.

It is no model of a real place. It makes a subtropical coast of a few hundred km, with the sea in the west and a
mountain range inland. A Markov chain of weather (settled, showery, storm) and AR(1) anomalies of wind, warmth and
moisture give each day its state. The state shapes rain that is drawn from anisotropic power-law Gaussian fields. Storms
have bands and sheets of rain, which the mountains lift (linear theory of Smith & Barstad 2004). Convective cells are
small and intense on warm moist days. The rain follows from the state only in part. The rest is chance, which an
ensemble has to show.

Input: seed, year, sizes. Output: numpy arrays; row 0 is the south, rain in mm/day, lengths in km, SI units otherwise.
"""

from __future__ import annotations

import calendar
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

CELL_KM = (4.45, 4.0)  # height and width of a cell: 0.04 degrees at 26 N
DETECTION = 0.1  # mm/day; a gauge reports less as no rain
LAPSE = 0.0060  # K/m
SPIN_UP = 60  # days before 1 January
SETTLED, SHOWERY, STORM = 0, 1, 2


# ---------------------------------------------------------------------------------------- geography


@dataclass(frozen=True)
class Geography:
    """The ground on a torus that is larger than the domain.

    Fields made by a Fourier transform are periodic. On a larger torus they do not repeat within the domain.
    """

    shape: tuple[int, int]
    """rows and columns of the domain, whole coarse cells"""
    factor: int
    elevation: Array
    """m; 0 on the sea, and falls to 0 at the edge of the torus"""
    inland: Array
    """approximate distance to the coast, km; positive on land, negative on the sea"""
    beyond: Array
    """0 before the crest of the mountains, 1 behind it"""

    def crop(self, field: Array) -> Array:
        """Give the part of a field on the torus that lies in the domain."""
        rows, columns = self.shape
        top, left = (field.shape[-2] - rows) // 2, (field.shape[-1] - columns) // 2
        return field[..., top : top + rows, left : left + columns]

    def coarsen(self, field: Array) -> Array:
        """Give the means over the coarse cells, in float64."""
        rows, columns = (size // self.factor for size in field.shape[-2:])
        blocks = field.reshape(*field.shape[:-2], rows, self.factor, columns, self.factor)
        return blocks.mean(axis=(-3, -1), dtype=np.float64)

    @property
    def wavenumbers(self) -> tuple[Array, Array]:
        """Wavenumbers of `rfft2` on the torus to the north and to the east, rad/km."""
        rows, columns = self.elevation.shape
        north = 2 * np.pi * np.fft.fftfreq(rows, CELL_KM[0])
        east = 2 * np.pi * np.fft.rfftfreq(columns, CELL_KM[1])
        return north[:, None].astype("f4"), east[None, :].astype("f4")


def geography(seed: int, height: int, width: int, factor: int) -> Geography:
    """Draw a curved coast and a mountain range behind it.

    Parameters
    ----------
    seed
        The seed; with equal sizes it makes an equal ground.
    height, width
        Size of the domain in fine cells, multiples of `factor`.
    factor
        Fine cells along one side of a coarse cell.
    """
    rng = np.random.default_rng([seed, 0])
    torus = (_fast_size(height + 36), _fast_size(width + 36))
    flat = np.zeros(torus, "f4")
    ground = Geography((height, width), factor, flat, flat, flat)  # tells the random fields the size of the torus
    rows = (np.arange(torus[0]) - torus[0] // 2)[:, None] * CELL_KM[0]
    columns = (np.arange(torus[1]) - torus[1] // 2)[None, :] * CELL_KM[1]
    size = min(height * CELL_KM[0], width * CELL_KM[1])  # the land's shape scales with the domain

    rough = _gaussian_field(ground, rng, outer=0.5 * size, slope=3.8)
    ridged = _gaussian_field(ground, rng, outer=0.2 * size, slope=4.2)
    turn = rng.uniform(-0.35, 0.35)
    across = columns * np.cos(turn) + rows * np.sin(turn)
    along = -columns * np.sin(turn) + rows * np.cos(turn)
    wave = along / size + rng.uniform(-0.2, 0.2)
    inland = across + 0.17 * size + 0.09 * size * np.sin(2 * np.pi * 0.8 * wave) + 0.055 * size * rough
    crest = 0.33 * size + 0.05 * size * np.sin(2 * np.pi * 0.6 * wave + 1.0)
    from_crest = (inland - crest) / size
    slope = np.where(from_crest < 0, 0.085, 0.13)  # steep to the sea, gentle behind
    passes = 0.75 + 0.25 * np.cos(2 * np.pi * 1.3 * wave + rng.uniform(0, 6))
    peak = rng.uniform(1900, 2500) * min(1.0, size / 200)
    relief = np.clip(1 - 0.38 * np.abs(ridged), 0.15, None)
    plain = 12 * np.sqrt(np.clip(inland, 0, None)) * (1 + 0.3 * rough)
    plateau = 350 * _sigmoid(from_crest / 0.05) * (1 + 0.25 * ridged)
    mountains = peak * passes * relief * np.exp(-0.5 * (from_crest / slope) ** 2)
    elevation = np.clip((mountains + plateau + plain) * np.clip(inland / (0.1 * size), 0, 1), 2, None)
    return Geography(
        (height, width),
        factor,
        elevation=np.where(inland > 0, elevation * _taper(torus, (height, width)), 0).astype("f4"),
        inland=inland.astype("f4"),
        beyond=_sigmoid(from_crest / 0.06).astype("f4"),
    )


def _fast_size(least: int) -> int:
    """The next even size whose Fourier transform is fast: its primes are 2, 3 and 5."""
    size = least + least % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def _taper(torus: tuple[int, int], shape: tuple[int, int]) -> Array:
    """1 over the domain, falling to 0 at the edge of the torus."""

    def side(full: int, inner: int) -> Array:
        outside = np.abs(np.arange(full) - (full - 1) / 2) - inner / 2
        return 0.5 + 0.5 * np.cos(np.pi * np.clip(outside / ((full - inner) / 2), 0, 1))

    return np.outer(side(torus[0], shape[0]), side(torus[1], shape[1]))


# -------------------------------------------------------------------------------------------- state


@dataclass(frozen=True)
class WeatherYear:
    """The large-scale weather of a year; every array has one value a day."""

    summer: Array
    """season, 1 in high summer, -1 in deep winter"""
    regime: NDArray[np.integer]
    """SETTLED, SHOWERY or STORM"""
    warmth: Array
    """anomaly of temperature, K"""
    moisture: Array
    """anomaly of moisture, standard deviations"""
    eastward: Array
    """wind to the east, m/s"""
    northward: Array
    """wind to the north, m/s"""
    strength: Array
    """logarithm of the intensity of the rain, anomaly"""
    band: Array
    """rain band of a storm (day, 4): direction (rad), distance from the centre and width (domain sizes), sharpness"""

    def __len__(self) -> int:
        return len(self.summer)


def weather_of(seed: int, year: int) -> WeatherYear:
    """Walk the chain of weather through a year. A year does not depend on which other years are made."""
    rng = np.random.default_rng([seed, 1, year])
    count = 365 + calendar.isleap(year)
    total = count + SPIN_UP
    summer = np.cos(2 * np.pi * (np.arange(-SPIN_UP, count) - 205) / 365.25)
    moisture = _ar1(rng, total, 0.65)
    regime, band = np.zeros(total, int), np.zeros((total, 4))
    strength = np.zeros(total)
    for day in range(1, total):
        regime[day] = _next_regime(rng, int(regime[day - 1]), summer[day], moisture[day])
        if regime[day] != STORM:
            strength[day] = 0.4 * rng.standard_normal()
        elif regime[day - 1] != STORM:  # a new storm enters
            band[day] = rng.normal(-0.5, 0.6), rng.uniform(-0.6, 0.0), rng.uniform(0.25, 0.6), rng.uniform(0, 1)
            strength[day] = 0.4 * rng.standard_normal()
        else:  # the storm moves on
            band[day] = band[day - 1] + [rng.normal(0, 0.15), rng.uniform(0.1, 0.6), rng.normal(0, 0.05), 0]
            band[day, 2] = max(band[day, 2], 0.2)
            strength[day] = 0.5 * strength[day - 1] + 0.35 * rng.standard_normal()
    stormy = regime == STORM
    warmth = _ar1(rng, total, 0.8) * (2.0 - 1.0 * summer) - 1.2 * stormy
    eastward = 3.0 - 1.5 * summer + 2.8 * _ar1(rng, total, 0.6) + stormy * (3.5 - 1.0 * summer)
    northward = 1.0 + 1.0 * summer + 2.6 * _ar1(rng, total, 0.6) + 1.5 * stormy * np.cos(band[:, 0])
    return WeatherYear(
        summer=summer[SPIN_UP:],
        regime=regime[SPIN_UP:],
        warmth=warmth[SPIN_UP:],
        moisture=moisture[SPIN_UP:],
        eastward=eastward[SPIN_UP:],
        northward=northward[SPIN_UP:],
        strength=strength[SPIN_UP:],
        band=band[SPIN_UP:],
    )


def _next_regime(rng: np.random.Generator, regime: int, summer: float, moisture: float) -> int:
    """One step of the Markov chain: more storms in winter, more showers in summer, more of both when it is moist."""
    to_storm = (0.075 - 0.025 * summer) * np.exp(0.6 * moisture)
    to_showers = (0.17 + 0.09 * summer) * np.exp(0.4 * moisture)
    if regime == SETTLED:
        odds = [1 - min(to_storm + to_showers, 0.9), to_showers, to_storm]
    elif regime == SHOWERY:
        odds = [0.20 - 0.06 * summer, 0.0, 1.5 * to_storm]
    else:
        odds = [0.14, 0.20, 0.0]
    odds[regime] = max(1 - sum(odds) + odds[regime], 0.05)
    return int(rng.choice(3, p=np.array(odds) / sum(odds)))


def _ar1(rng: np.random.Generator, count: int, memory: float) -> Array:
    """An AR(1) series of unit variance."""
    series, noise = np.empty(count), rng.standard_normal(count)
    series[0] = noise[0]
    for day in range(1, count):
        series[day] = memory * series[day - 1] + np.sqrt(1 - memory**2) * noise[day]
    return series


# --------------------------------------------------------------------------------------------- rain


def rain_of(seed: int, year: int, days: WeatherYear, ground: Geography) -> NDArray[np.float32]:
    """Draw the rain of a year, (day, row, column) in mm/day."""
    rain = np.empty((len(days), *ground.shape), "f4")
    mountains = np.fft.rfft2(ground.elevation)  # complex64, so that the work on a day stays in float32
    for day in range(len(days)):
        rain[day] = _rain_of_day(np.random.default_rng([seed, 2, year, day]), days, day, ground, mountains)
    return rain


def _rain_of_day(
    rng: np.random.Generator, days: WeatherYear, day: int, ground: Geography, mountains: NDArray[np.complexfloating]
) -> Array:
    """Storm rain and convective cells of one day over the domain, mm/day."""
    state = (days.summer, days.moisture, days.warmth, days.strength, days.eastward, days.northward)
    summer, moisture, warmth, strength, eastward, northward = (float(part[day]) for part in state)
    regime = int(days.regime[day])
    unstable = 0.8 * summer + 0.25 * warmth + 0.4 * moisture  # about -2 to 2
    stretch = {"along": math.atan2(northward, eastward), "ratio": 1 + (math.hypot(eastward, northward) / 9) ** 1.5}

    lifted, shadow = _orographic(ground, mountains, eastward, northward)
    inland, elevation = ground.crop(ground.inland), ground.crop(ground.elevation)
    cell_km = min(max(46 - 14 * unstable, 24), 90)  # cells are small when the air is warm and moist
    meso = ground.crop(_gaussian_field(ground, rng, outer=90, slope=4.1, **stretch))
    cells = ground.crop(_gaussian_field(ground, rng, outer=cell_km, slope=4.7, **stretch))
    clusters = ground.crop(_gaussian_field(ground, rng, outer=80, slope=3.8))
    intensity = math.exp(strength + 0.2 * moisture + 0.04 * warmth + 0.12 * summer)

    cover: float | Array = (-2.5, -1.3, 0.3)[regime] + 0.3 * moisture
    if regime == STORM:
        cover = cover + 2.2 * (_band(ground, days.band[day], meso) - 0.45)
    sheet = meso + cover + 0.5 * np.clip(lifted, -1, 2)
    layered = 3.1 * intensity * (np.exp(0.75 * np.clip(sheet, 0, None)) - 0.75) * (sheet > 0)
    layered = layered * np.exp(0.45 * cells - 0.1) * (1 + np.clip(1.1 * lifted, -0.5, 3))

    breeze = np.exp(-(((inland - 20) / 17) ** 2)) - 0.5 * (inland < 0).astype("f4")
    heating = (0.5 + 0.5 * summer) * (0.8 * breeze + 0.35 * elevation / 1500)
    cover = (-1.9, -0.75, -0.75)[regime] + 0.25 * unstable + 0.25 * moisture
    deep = 0.85 * cells + 0.53 * clusters + cover + heating + 0.2 * np.clip(lifted, -1, 2)
    if regime == STORM:
        friction = np.exp(-(((inland - 8) / 15) ** 2))  # air that slows down on land must rise
        deep = deep + 0.35 * np.clip(sheet, -2, 1.5) + 0.5 * friction
    steep = 0.80 + 0.10 * min(max(unstable, -1.5), 2)
    convective = 4.7 * intensity * (np.exp(steep * np.clip(deep, 0, None)) - 0.65) * (deep > 0)

    rain = (layered + convective) * shadow
    rain = rain / (1 + rain / 320)  # ASSUME: moisture supply bends the tail of a lognormal
    return np.where(rain < DETECTION, 0, rain)


def _gaussian_field(
    ground: Geography, rng: np.random.Generator, outer: float, slope: float, along: float = 0.0, ratio: float = 1.0
) -> Array:
    """Gaussian random field on the torus with mean 0, variance 1 and power ~ (1 + (k outer / 2 pi)^2)^(-slope / 2).

    `outer` is the largest scale in km. `ratio` stretches the field in the direction `along` (rad from east).
    """
    north, east = ground.wavenumbers
    parallel = east * math.cos(along) + north * math.sin(along)
    across = north * math.cos(along) - east * math.sin(along)
    scaled = (parallel**2 * ratio + across**2 / ratio) * (outer / (2 * math.pi)) ** 2
    amplitude = (1 + scaled) ** (-slope / 4)
    amplitude[0, 0] = 0
    noise = rng.standard_normal((*amplitude.shape, 2), dtype="f4").view("c8")[..., 0]
    field = np.fft.irfft2(noise * amplitude, s=ground.elevation.shape)
    twice = np.full(amplitude.shape[1], 2.0)  # the half spectrum stands for both signs of k
    twice[[0, -1]] = 1
    variance = 2 * float((amplitude.astype("f8") ** 2 * twice).sum()) / field.size**2
    return field / math.sqrt(variance)


def _band(ground: Geography, band: Array, texture: Array) -> Array:
    """Closeness to a storm's rain band, 0 to 1: sharp in front, frayed behind, bent by the texture."""
    direction, place, width, sharpness = band.tolist()
    rows, columns = ground.shape
    north = (np.arange(rows, dtype="f4")[:, None] / rows - 0.5) * rows / min(rows, columns)
    east = (np.arange(columns, dtype="f4")[None, :] / columns - 0.5) * columns / min(rows, columns)
    ahead = east * math.cos(direction) + north * math.sin(direction) - place
    sideways = north * math.cos(direction) - east * math.sin(direction)
    ahead = ahead + 0.25 * sideways**2 + 0.05 * texture
    steepness = np.where(ahead > 0, np.float32(1 + 2 * sharpness), np.float32(0.6))
    return np.exp(-steepness * np.abs(ahead / width) ** 1.5)


def _orographic(
    ground: Geography, mountains: NDArray[np.complexfloating], eastward: float, northward: float
) -> tuple[Array, Array]:
    """Lifting of moist air by the ground, and the drying of the air behind the mountains.

    Linear theory (Smith & Barstad 2004, eq. 49): P^ = i s h^ / ((1 - i m H)(1 + i s t)^2), s = U k. It is divided by
    the value that gives moderate orographic rain. The second result multiplies the rain: it is below 1 behind a crest.
    """
    north, east = ground.wavenumbers
    moist_depth, delay, stability = 2.5, 1000.0, 0.005  # km, s, 1/s
    frequency = (eastward * east + northward * north) * 1e-3  # rad/s
    frequency = np.where(np.abs(frequency) < 1e-7, np.float32(1e-7), frequency)  # no wind along k
    vertical = stability * np.hypot(north, east) / frequency  # hydrostatic vertical wavenumber, rad/km
    transfer = 1j * frequency / ((1 - 1j * vertical * moist_depth) * (1 + 1j * frequency * delay) ** 2)
    lifted = ground.crop(np.fft.irfft2(transfer * mountains, s=ground.elevation.shape)) / 0.08
    onshore = 1 / (1 + math.exp(-(eastward - 1.0) / 2.0))
    return lifted, 1 - 0.6 * onshore * ground.crop(ground.beyond)


# --------------------------------------------------------------------------------- coarse predictors


def coarse_of(
    seed: int, year: int, days: WeatherYear, rain: Array, ground: Geography
) -> dict[str, NDArray[np.float32]]:
    """Make the coarse fields of a year, (day, row, column) by CMIP name, in CMIP units.

    `pr` is the block mean of `rain` (perfect model). The other fields follow the state of the weather, with noise.
    """
    rng = np.random.default_rng([seed, 3, year])
    wet = ground.coarsen(rain)
    elevation = ground.coarsen(ground.crop(ground.elevation))
    land = ground.coarsen((ground.crop(ground.inland) > 0).astype("f4"))
    day = {
        name: getattr(days, name)[:, None, None] for name in ("summer", "warmth", "moisture", "eastward", "northward")
    }
    soaked = np.tanh(wet / 15)  # rain and its clouds cool the day and moisten the air

    season = 296.5 + (3.5 + 2.5 * land) * day["summer"]
    tas = season + day["warmth"] - LAPSE * elevation - 1.2 * soaked + 0.5 * _drift(rng, wet.shape)
    spread = (2.0 + 3.2 * land) * (1 - 0.45 * soaked) * np.exp(0.12 * _drift(rng, wet.shape))
    tasmax = tas + np.maximum(spread * 1.05, 0.2)
    tasmin = tas - np.maximum(spread * 0.95, 0.2)

    humidity = 0.70 + 0.06 * (1 - land) + 0.075 * day["moisture"] + 0.10 * soaked + 0.02 * _drift(rng, wet.shape)
    saturated = _saturation_humidity(tas, 101325 * np.exp(-elevation / 8400))
    huss = np.clip(humidity, 0.15, 0.99) * saturated

    east = np.linspace(-1, 1, wet.shape[2])[None, None, :]
    north = np.linspace(-1, 1, wet.shape[1])[None, :, None]
    speed = np.hypot(day["eastward"], day["northward"])
    windward = -(east * day["eastward"] + north * day["northward"]) / np.maximum(speed, 0.5)
    wind = speed * (1.05 - 0.35 * land) * (1 + 0.15 * windward) * np.exp(0.10 * _drift(rng, wet.shape)) + 0.4
    fields = {"pr": wet / 86400, "tas": tas, "huss": huss, "sfcWind": wind, "tasmax": tasmax, "tasmin": tasmin}
    return {name: field.astype("f4") for name, field in fields.items()}


def _drift(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of about unit variance: slow tilts over the domain, and a little noise of each cell."""
    days, rows, columns = shape
    level, tilt_north, tilt_east = (_ar1(rng, days, 0.6)[:, None, None] for _ in range(3))
    north = np.linspace(-1, 1, rows)[None, :, None]
    east = np.linspace(-1, 1, columns)[None, None, :]
    return 0.7 * level + 0.6 * (tilt_north * north + tilt_east * east) + 0.4 * rng.standard_normal(shape)


def _saturation_humidity(temperature: Array, pressure: Array) -> Array:
    """Specific humidity of saturated air (Magnus formula; K, Pa -> 1)."""
    celsius = temperature - 273.15
    vapour = 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))
    return 0.622 * vapour / (pressure - 0.378 * vapour)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))
