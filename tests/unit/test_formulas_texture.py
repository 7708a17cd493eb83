"""Spectra and the shape of storms: other implementations, waves and ellipses that are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from ensembles import rain

from rainshaft.evaluation.formulas.texture import (
    DIRECTIONS,
    LAGS,
    correlation_radii,
    directional_covariances,
    ellipse,
    hann_window,
    lag_correlations,
    log_spectral_distance,
    radial_spectrum,
    ralsd,
)

rapsd = pytest.importorskip("pysteps.utils.spectral").rapsd


# ---------------------------------------------------------------------------------------------- spectra


@pytest.mark.parametrize("size", [32, 45])
def test_spectrum_is_that_of_pysteps(size):
    field = rain(np.random.default_rng(0), size, size).astype(float)
    cells = np.ones(field.shape, bool)
    # pysteps rounds the distance to the centre, and averages the power of all of its ring
    theirs = rapsd(field, fft_method=np.fft)[1 : size // 2 + 1]
    assert radial_spectrum(field)[: len(theirs)] == pytest.approx(theirs)
    window = hann_window(cells)
    anomaly = (field - (field * window).sum() / window.sum()) * window
    theirs = rapsd(anomaly, fft_method=np.fft)[1 : size // 2 + 1] / (window**2).mean()
    assert radial_spectrum(field, window)[: len(theirs)] == pytest.approx(theirs)


@pytest.mark.parametrize("shape", [(32, 80), (61, 24)])
def test_half_of_the_transform_gives_the_power_of_all_of_it(shape):
    field = rain(np.random.default_rng(1), *shape).astype(float)
    power = np.abs(np.fft.fft2(field)) ** 2 / field.size
    wavenumber = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    ring = np.rint(wavenumber * min(shape)).astype(int)
    expected = [power[ring == k].mean() for k in range(1, min(shape) // 2 + 1)]
    assert radial_spectrum(field) == pytest.approx(np.array(expected))


def test_single_precision_is_enough():
    field = rain(np.random.default_rng(2), 64, 64, smooth=6)
    window = hann_window(np.ones(field.shape, bool))
    assert field.dtype == np.float32
    assert radial_spectrum(field, window) == pytest.approx(radial_spectrum(field.astype(float), window), rel=1e-3)


def test_window_is_hann_on_a_rectangle_and_falls_to_the_edge_of_a_mask():
    window = hann_window(np.ones((9, 20), bool))
    assert window == pytest.approx(np.outer(np.hanning(9), np.hanning(20)))
    cells = np.zeros((60, 60), bool)
    cells[5:50, 10:55] = True
    cells[20:30, 20:30] = False
    window = hann_window(cells)
    assert not window[~cells].any()
    assert window[5:50, 10:55][:10, :10] == pytest.approx(np.outer(np.hanning(45), np.hanning(45))[:10, :10], abs=0.05)
    steps = np.abs(np.diff(window, axis=0)).max()
    assert steps < 0.25  # no edge is left


def test_a_window_shows_what_smooth_fields_lack():
    """Without it, the jump from edge to edge hides the missing power."""
    rng = np.random.default_rng(3)
    truth = rain(rng, 20, 64, 64, smooth=1)
    smooth = scipy.ndimage.gaussian_filter(truth, (0, 2, 2))
    slope = 60 * np.linspace(0, 1, 64)  # more rain in the east
    window = hann_window(np.ones((64, 64), bool))
    plain, windowed = (
        log_spectral_distance(radial_spectrum(smooth + slope, w).mean(0), radial_spectrum(truth + slope, w).mean(0))
        for w in (None, window)
    )
    assert windowed > 1.5 * plain


def test_ralsd_is_the_mean_over_members_of_the_distance_by_pysteps():
    rng = np.random.default_rng(4)
    m, y = rain(rng, 3, 32, 32).astype(float), rain(rng, 32, 32).astype(float)
    decibel = [10 * np.log10(rapsd(field, fft_method=np.fft)[1:17]) for field in (*m, y)]
    rings = len(decibel[0])
    theirs = np.mean([np.sqrt(np.mean((d - decibel[3]) ** 2)) for d in decibel[:3]])
    power, observed = radial_spectrum(m)[:, :rings], radial_spectrum(y)[:rings]
    assert ralsd(power, observed) == pytest.approx(theirs)
    power[1] = 0  # a dry member takes no part
    assert ralsd(power, observed) == pytest.approx(ralsd(power[[0, 2]], observed))
    assert np.isnan(ralsd(0 * power, observed))
    assert np.isnan(ralsd(power, 0 * observed))


def test_distance_of_many_spectra_at_once():
    rng = np.random.default_rng(5)
    power, observed = rng.gamma(1, 1, (4, 9)), rng.gamma(1, 1, 9)
    observed[3] = 0
    each = [log_spectral_distance(row, observed) for row in power]
    assert log_spectral_distance(power, observed) == pytest.approx(each)
    kept = np.arange(9) != 3
    by_hand = np.sqrt(np.mean((10 * np.log10(power[0, kept] / observed[kept])) ** 2))
    assert each[0] == pytest.approx(by_hand)


def test_exchangeable_fields_have_a_ralsd_and_equal_mean_spectra():
    fields = rain(np.random.default_rng(6), 200, 3, 48, 48, smooth=1.5)
    power = radial_spectrum(fields, hann_window(np.ones((48, 48), bool)))
    by_day = np.mean([ralsd(p[1:], p[0]) for p in power])
    of_means = log_spectral_distance(power[:, 1:].mean((0, 1)), power[:, 0].mean(0))
    assert by_day > 2
    assert of_means < 0.4 * by_day


# --------------------------------------------------------------------------------------- shape of storms


def elliptic(rng, count, ratio, angle, scale=3.0, size=96, kind="gaussian"):
    """Gaussian fields whose correlation depends on an elliptic distance: `scale` cells along the short axis."""
    wave = 2 * np.pi * np.fft.fftfreq(size)
    right, up = wave, -wave[:, None]
    turn = np.deg2rad(angle)
    long, short = right * np.cos(turn) + up * np.sin(turn), -right * np.sin(turn) + up * np.cos(turn)
    square = scale**2 * ((ratio * long) ** 2 + short**2)
    power = np.exp(-square) if kind == "gaussian" else (1 + square) ** -1.5
    noise = np.fft.fft2(rng.standard_normal((count, size, size)))
    return np.fft.ifft2(noise * np.sqrt(power)).real


@pytest.mark.parametrize("hole", [False, True])
def test_covariances_by_hand(hole):
    rng = np.random.default_rng(7)
    fields, cells = rng.gamma(0.5, 8, (2, 19, 14)), np.ones((19, 14), bool)
    if hole:
        cells[4:9, 5:8] = False
    found = directional_covariances(fields, cells)
    assert found.shape == (2, len(DIRECTIONS), len(LAGS))
    anomaly = fields[0] - fields[0][cells].mean()
    for i, (up, right) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        for j, lag in enumerate(LAGS[:5]):
            products = [
                anomaly[a, b] * anomaly[a - up * lag, b + right * lag]
                for a, b in np.ndindex(*cells.shape)
                if 0 <= a - up * lag < 19
                and 0 <= b + right * lag < 14
                and cells[a, b]
                and cells[a - up * lag, b + right * lag]
            ]
            assert found[0, i, j] == pytest.approx(np.mean(products)), (i, j)
    assert np.isnan(found[:, :, 5:]).all()  # more than a third of 14 cells
    assert found[:, 0, 0] == pytest.approx([field[cells].var() for field in fields])


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
@pytest.mark.parametrize(("ratio", "angle"), [(1, 0), (1.3, 0), (2, 90), (2, 30), (1.6, -60), (2.5, 45)])
def test_ellipses_are_found(kind, ratio, angle):
    fields = elliptic(np.random.default_rng(8), 150, ratio, angle, kind=kind)
    covariance = directional_covariances(fields, np.ones(fields.shape[1:], bool)).mean(0)
    found, turned = ellipse(correlation_radii(covariance))
    assert found == pytest.approx(ratio, rel=0.08)
    if ratio > 1:
        assert abs((turned - angle + 90) % 180 - 90) < 5


def test_radii_of_known_correlations_are_exact():
    """A correlation exp(-(distance / scale)^power) is one half at scale ln(2)^(1 / power)."""
    distance = np.array(LAGS) * np.where(np.array(DIRECTIONS) % 90, np.sqrt(2), 1)[:, None]
    for scale, power in ((0.6, 1.0), (4.0, 1.0), (5.0, 2.0), (9.0, 1.4)):
        radius = correlation_radii(7.0 * np.exp(-((distance / scale) ** power)))
        assert radius == pytest.approx(scale * np.log(2) ** (1 / power)), (scale, power)
        assert ellipse(radius)[0] == pytest.approx(1)


def test_shape_ignores_the_size_of_the_rain_and_turns_with_the_field():
    fields = elliptic(np.random.default_rng(9), 60, 2, 20)
    cells = np.ones(fields.shape[1:], bool)
    ratio, angle = ellipse(correlation_radii(directional_covariances(fields, cells).mean(0)))
    other = ellipse(correlation_radii(directional_covariances(5 * fields + 3, cells).mean(0)))
    assert other == pytest.approx((ratio, angle))
    turned = ellipse(correlation_radii(directional_covariances(np.rot90(fields, axes=(1, 2)), cells).mean(0)))
    assert turned == pytest.approx((ratio, angle - 90 if angle > 0 else angle + 90), rel=1e-3)
    mirrored = ellipse(correlation_radii(directional_covariances(fields[:, ::-1], cells).mean(0)))
    assert mirrored == pytest.approx((ratio, -angle), rel=1e-3)


def test_storms_of_all_directions_are_round_together_and_long_one_by_one():
    rng = np.random.default_rng(10)
    fields = np.concatenate([elliptic(rng, 1, 2.5, angle) for angle in np.linspace(0, 180, 120, endpoint=False)])
    covariance = directional_covariances(fields, np.ones(fields.shape[1:], bool))
    assert ellipse(correlation_radii(covariance.mean(0)))[0] < 1.15
    assert np.nanmedian(ellipse(correlation_radii(covariance))[0]) > 1.8


def test_correlation_along_both_axes():
    fields = elliptic(np.random.default_rng(11), 200, 2, 0)
    along_x, along_y = lag_correlations(directional_covariances(fields, np.ones((96, 96), bool)).mean(0), 3)
    # the correlation of this spectrum is exp(-distance^2 / (4 scale^2))
    assert along_x == pytest.approx(np.exp(-9 / (4 * 36)), abs=0.02)
    assert along_y == pytest.approx(np.exp(-9 / (4 * 9)), abs=0.02)


def test_constant_fields_and_noise_have_their_shape_or_none():
    cells = np.ones((30, 30), bool)
    radii = correlation_radii(directional_covariances(np.full((1, 30, 30), 3.0), cells))
    assert np.isnan(radii).all()
    assert np.isnan(ellipse(radii)[0]).all()
    noise = np.random.default_rng(12).standard_normal((40, 30, 30))
    covariance = directional_covariances(noise, cells)
    assert (correlation_radii(covariance) < 1.5).all()
    assert ellipse(correlation_radii(covariance.mean(0)))[0] == pytest.approx(1, abs=0.2)
