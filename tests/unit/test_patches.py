"""Days and the batches that are cut from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from trainings import Data, island_days, plain_days

from rainshaft.config.sections import Train
from rainshaft.data.patches import Days, Patches, category_counts, days_of, load_days, training_batch
from rainshaft.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return plain_days(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def days(data) -> Days:
    return load_days(*data, "train", CPU)


def test_batches_hold_the_asked_for_kinds_of_days_and_match_the_fields(days):
    options = Train(batch_size=10, patch=8, min_heavy_fraction=0.5, max_dry_fraction=0.1)
    counts = category_counts(days, options)
    assert counts["heavy"] >= 5
    assert counts["dry"] <= 1
    assert sum(counts.values()) == 10
    patches = Patches.of(days, options)
    assert (patches.rows, patches.columns) == (4, 4)
    batch = training_batch(days, patches, options, 1, 7, CPU)
    pooled = torch.nn.functional.avg_pool2d(batch.rain_B1HW, 2)
    torch.testing.assert_close(pooled, batch.coarse_BCyx[:, :1], atol=1e-3, rtol=1e-4)
    again = training_batch(days, patches, options, 1, 7, CPU)
    other = training_batch(days, patches, options, 1, 8, CPU)
    assert torch.equal(batch.rain_B1HW, again.rain_B1HW)
    assert not torch.equal(batch.rain_B1HW, other.rain_B1HW)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 4, "min_heavy_fraction": 1.0}])
def test_a_batch_never_asks_for_more_patches_than_it_has(days, options):
    counts = category_counts(days, Train(**options))
    assert sum(counts.values()) == options["batch_size"]
    assert min(counts.values()) >= 0


def test_a_small_batch_still_has_a_dry_day(days):
    assert category_counts(days, Train(batch_size=4, max_dry_fraction=0.1))["dry"] == 1
    assert category_counts(days, Train(batch_size=4, max_dry_fraction=0.0))["dry"] == 0


def test_training_sees_no_day_of_validation_or_test(data, days):
    fields, normalisation = data
    with xr.open_dataset(fields[0]) as opened:
        mine = opened.pr.values[normalisation.split.values == "train"]
    np.testing.assert_array_equal(days.rain_THW.numpy(), mine)


def test_every_patch_has_the_whole_weather_of_its_day_mirrored_as_the_patch_is(tmp_path):
    days = load_days(*island_days(tmp_path), "train", CPU)
    known = {float(day[0].sum()): day for day in days.context_TKvu}
    options = Train(batch_size=16, patch=8)
    batch = training_batch(days, Patches.of(days, options), options, 1, 3, CPU)
    seen = set()
    for context, statics, rain in zip(batch.context_BKvu, batch.statics_BSHW, batch.rain_B1HW, strict=True):
        day = min(known, key=lambda total: abs(total - float(context.sum())))
        north, east = statics[:, :2, :2]
        axes = tuple(a for a, turned in ((-2, north[1, 0] > north[0, 0]), (-1, east[0, 1] < east[0, 0])) if turned)
        assert torch.equal(context.flip(axes) if axes else context, known[day])
        assert rain.shape == (1, 8, 8)
        seen.add(axes)
    assert len(seen) == 4


def test_an_epoch_covers_all_days_once_but_has_no_more_steps_than_are_allowed(days):
    options = Train(batch_size=2, patch=8)
    covering = len(days) * (8 * 12) / (4 * 4) / 2  # patches of 4 x 4 in 8 x 12 coarse cells, two a step
    assert Patches.of(days, options).steps_per_epoch == min(100, round(covering)) == 100
    assert Patches.of(days, options.model_copy(update={"steps_per_epoch": 1000})).steps_per_epoch == round(covering)
    assert Patches.of(days, Train(batch_size=16, patch=64)).steps_per_epoch == round(len(days) / 16)


def test_a_part_of_the_days_has_their_fields_and_all_maps(days):
    part = days[3:5]
    assert len(part) == 2
    assert torch.equal(part.rain_THW, days.rain_THW[3:5])
    assert torch.equal(part.coarse_TCyx, days.coarse_TCyx[3:5])
    assert torch.equal(part.statics_SHW, days.statics_SHW)


def test_days_without_observed_rain_are_days_but_not_for_training(data, days, tmp_path):
    (path,), normalisation = data
    with xr.open_dataset(path) as opened:
        unobserved = opened.drop_vars("pr").load()
    unobserved.to_netcdf(tmp_path / "2001.nc")
    found = days_of(unobserved, normalisation)
    assert len(found) == 80
    assert found.domain == (8, 12)
    assert found.rain_THW is None
    assert found[:3].rain_THW is None
    with pytest.raises(UserError, match="the train split needs the observed rain of the days, and these have none"):
        load_days([tmp_path / "2001.nc"], normalisation, "train", CPU)
    options = Train(batch_size=4, patch=8)
    with pytest.raises(UserError, match="training needs the observed rain"):
        training_batch(replace(days, rain_THW=None), Patches.of(days, options), options, 1, 0, CPU)
