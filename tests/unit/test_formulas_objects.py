"""Structure, amplitude and location: pysteps on the same objects, and fields of which the parts are known."""

from __future__ import annotations

import numpy as np
import pytest
from ensembles import rain
from scipy.ndimage import center_of_mass, find_objects, label

from rainshaft.evaluation.formulas.objects import sal, storms

salscores = pytest.importorskip("pysteps.verification.salscores")


def compare(forecast, observed, cells=None):
    cells = np.ones(observed.shape, bool) if cells is None else cells
    return tuple(float(part[0]) for part in sal(storms(forecast[None], cells), storms(observed[None], cells), cells))


def objects_for_pysteps(field, factor, quantile, _):
    """What pysteps asks scikit-image for, by scipy: objects above 1/15 of the heavy rain, without a least size."""
    import pandas as pd

    places, _ = label(field >= factor * np.quantile(field[field > 0.1], quantile))
    rows = []
    for i, box in enumerate(find_objects(places), start=1):
        image = np.where(places[box] == i, field[box], 0)
        row, column = center_of_mass(np.where(places == i, field, 0))
        rows.append((i, row, column, image.max(), image))
    names = ["label", "weighted_centroid-0", "weighted_centroid-1", "max_intensity", "intensity_image"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("seed", range(5))
def test_sal_is_that_of_pysteps_on_the_same_objects(seed, monkeypatch):
    monkeypatch.setattr(salscores, "_sal_detect_objects", objects_for_pysteps)
    rng = np.random.default_rng(seed)
    forecast, observed = (rain(rng, 40, 60, smooth=smooth).astype(float) for smooth in (1.5, 3))
    assert compare(forecast, observed) == pytest.approx(salscores.sal(forecast, observed, thr_factor=1 / 15))


def disc(row, column, radius=4, height=10.0, shape=(50, 80)):
    rows, columns = np.indices(shape)
    return np.where(np.hypot(rows - row, columns - column) <= radius, height, 0.0)


def test_equal_fields_have_zeros():
    field = rain(np.random.default_rng(0), 40, 60).astype(float)
    assert compare(field, field) == pytest.approx((0, 0, 0))


def test_a_shift_is_a_matter_of_location_alone():
    structure, amplitude, location = compare(disc(20, 30), disc(20, 50))
    assert (structure, amplitude) == pytest.approx((0, 0))
    assert location == pytest.approx(20 / np.hypot(50, 80))


def test_twice_the_rain_is_a_matter_of_amplitude_alone():
    field = rain(np.random.default_rng(1), 40, 60).astype(float)
    assert compare(2 * field, field) == pytest.approx((0, 2 / 3, 0), abs=1e-9)


def test_larger_flatter_storms_are_a_matter_of_structure():
    wide, narrow = disc(25, 40, radius=8), disc(25, 40, radius=4)
    wide *= narrow.sum() / wide.sum()
    structure, amplitude, location = compare(wide, narrow)
    volume = [(field > 0).sum() for field in (wide, narrow)]
    assert structure == pytest.approx(2 * (volume[0] - volume[1]) / sum(volume))
    assert (amplitude, location) == pytest.approx((0, 0))
    assert compare(narrow, wide)[0] == pytest.approx(-structure)


def test_two_storms_for_one_are_a_matter_of_how_they_are_scattered():
    two = disc(25, 25) + disc(25, 55)
    structure, _, location = compare(two, disc(25, 40))
    assert structure == pytest.approx(0)
    assert location == pytest.approx(2 * 15 / np.hypot(50, 80))


def test_cells_that_are_not_valid_do_not_count():
    cells = np.zeros((50, 80), bool)
    cells[5:45, 10:60] = True
    forecast, observed = disc(20, 30), disc(20, 50)
    forecast[~cells] = 100
    location = compare(forecast, observed, cells)[2]
    assert location == pytest.approx(20 / np.hypot(40, 50))


def test_a_dry_field_has_no_objects_to_compare():
    dry = np.zeros((50, 80))
    assert np.isnan(compare(dry, disc(20, 30))).all()
    assert np.isnan(compare(disc(20, 30), dry)).all()
    assert np.isnan(compare(dry, dry)).all()


def test_exchangeable_fields_have_no_structure_or_amplitude_on_average():
    cells = np.ones((40, 40), bool)
    fields = storms(rain(np.random.default_rng(2), 600, 40, 40).astype(float), cells)
    half = [type(fields)(*(value[part] for value in vars(fields).values())) for part in (np.s_[::2], np.s_[1::2])]
    structure, amplitude, location = sal(*half, cells)
    for part in (structure, amplitude):
        assert abs(part.mean()) < 3 * part.std() / np.sqrt(part.size)
    assert location.min() > 0
