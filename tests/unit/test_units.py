"""What a file says of the making of its values is read together with their units."""

from pathlib import Path

import pytest
import xarray as xr

from rainshaft.data.header import Header
from rainshaft.data.sources import InputError, Source
from rainshaft.data.units import conversion, is_amount


def header_of(units, configured=None, quantity="rain", **attrs):
    """The header of a variable with these units and attributes."""
    data = xr.DataArray([1.0], dims="time", attrs={"units": units, **attrs})
    source = Source("predictors.0", "predictor tp", ("tp.nc",), "tp", quantity, units=configured)
    return Header(source, Path("tp.nc"), data.to_dataset(name="tp"), data)


def refused(*args, **attrs):
    with pytest.raises(InputError) as caught:
        conversion(header_of(*args, **attrs))
    return str(caught.value)


MEANS = ["time: mean", "time: mean (interval: 1 hour)", "area: mean time: mean", "time: latitude: longitude: mean"]


@pytest.mark.parametrize("units", ["m", "mm", "kg m-2", "inches"])
@pytest.mark.parametrize("methods", [*MEANS, "valid_time: mean"])
def test_a_mean_of_depths_is_refused_with_what_to_write(units, methods):
    message = refused(units, cell_methods=methods)
    assert f"`{units}/h` for a mean of hourly sums" in message
    assert "predictors.0.units" in message


def test_a_stated_rate_settles_what_a_mean_of_depths_is():
    hours = conversion(header_of("m", "m/h", cell_methods=MEANS[1]))
    assert hours.slope == pytest.approx(24000)
    assert any("taken as m/h" in note for note in hours.notes)
    assert conversion(header_of("mm", "mm/day", cell_methods=MEANS[0])).slope == pytest.approx(1)
    assert "a mean of depths" in refused("mm", "mm", cell_methods=MEANS[0])


def test_parts_of_a_day_are_summed_only_where_they_are_amounts():
    assert is_amount(header_of("m"))
    assert is_amount(header_of("", "mm"))
    assert not is_amount(header_of("kg m-2 s-1"))
    assert not is_amount(header_of("m", "m/h", cell_methods=MEANS[1]))


@pytest.mark.parametrize(
    ("units", "methods", "slope"),
    [
        ("kg m-2 s-1", "time: mean", 86400),
        ("mm/day", "time: mean", 1),
        ("mm", "time: sum", 1),
        ("mm", "time: sum (interval: 1 hour)", 1),
        ("mm", "area: mean time: sum", 1),
        ("mm", "area: mean", 1),
        ("mm", "time: point", 1),
        ("mm/day", "time: sum", 1),
    ],
)
def test_methods_that_fit_the_units_say_nothing_new(units, methods, slope):
    found = conversion(header_of(units, cell_methods=methods))
    assert found.slope == pytest.approx(slope)
    assert not any("does not fit" in note for note in found.notes)


def test_a_sum_of_a_rate_is_noted():
    notes = conversion(header_of("kg m-2 s-1", cell_methods="time: sum")).notes
    assert any("does not fit units" in note for note in notes)


@pytest.mark.parametrize("method", ["maximum", "minimum", "median", "standard_deviation"])
def test_rain_that_is_no_total_is_refused(method):
    assert method.replace("_", " ") in refused("mm/h", cell_methods=f"time: {method}")
    assert conversion(header_of("K", quantity="temperature", cell_methods=f"time: {method}")).slope == 1


def test_the_step_type_of_grib_counts_where_nothing_else_says_so():
    assert "GRIB_stepType 'avg'" in refused("m", GRIB_stepType="avg")
    assert "maximum" in refused("kg m-2 s-1", GRIB_stepType="max")
    assert conversion(header_of("m", GRIB_stepType="accum")).slope == pytest.approx(1000)
    assert "a mean of depths" in refused("m", GRIB_stepType="accum", cell_methods="time: mean")
