"""What the axes of a file are, and where its cells lie in truth."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rainshaft.data.axes import axis_roles, place
from rainshaft.data.header import Header
from rainshaft.data.sources import InputError, Source
from rainshaft.data.sphere import latitude_longitude

POLE = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 30.0,
    "grid_north_pole_longitude": -170.0,
}
CONE = {
    "grid_mapping_name": "lambert_conformal_conic",
    "standard_parallel": [40.0, 50.0],
    "longitude_of_central_meridian": 10.0,
    "latitude_of_projection_origin": 45.0,
}


def field(y="y", x="x", y_attrs=None, x_attrs=None, mapping=None, axes=None):
    """A variable `pr` of 4 x 5 cells."""
    ay, ax = axes or (np.arange(4) * 0.5 - 1, np.arange(5) * 0.5 + 3)
    ds = xr.Dataset({"pr": ((y, x), np.ones((4, 5), "f4"))}, {y: (y, ay, y_attrs or {}), x: (x, ax, x_attrs or {})})
    if mapping:
        ds["crs"] = xr.DataArray(np.int32(0), attrs=mapping)
        ds.pr.attrs["grid_mapping"] = "crs"
    return ds


def placed(ds):
    source = Source("land", "land", (), "pr", "land")
    header = Header(source, Path("file.nc"), ds, ds.pr)
    roles = {role: name for name, role in axis_roles(header).items()}
    return place(header, roles["Y"], roles["X"], None)


def grid(ds):
    return placed(ds).grid


def refused(ds):
    with pytest.raises(InputError) as caught:
        placed(ds)
    return str(caught.value)


TRUE = {"units": "degrees_north"}, {"units": "degrees_east"}
GRID = {"standard_name": "grid_latitude"}, {"standard_name": "grid_longitude"}
PLANE = {"standard_name": "projection_y_coordinate"}, {"standard_name": "projection_x_coordinate"}
METRES = np.arange(4) * 1e4, np.arange(5) * 1e4


@pytest.mark.parametrize(
    ("kind", "ds"),
    [
        ("latitude/longitude", field("lat", "lon")),
        ("latitude/longitude", field("y", "x", *TRUE)),
        ("latitude/longitude", field("y", "x", mapping={"grid_mapping_name": "latitude_longitude"})),
        ("latitude/longitude", field("y", "x", mapping={"crs_wkt": "EPSG:4326"})),
        ("latitude/longitude", field("y", "x", *TRUE, mapping={"grid_mapping_name": "WGS84"})),
        ("rotated", field("rlat", "rlon")),
        ("rotated", field("rlat", "rlon", *TRUE)),
        ("rotated", field("y", "x", *({"long_name": "rotated axis", **units} for units in TRUE))),
        ("rotated", field("rlat", "rlon", *({**a, **b} for a, b in zip(GRID, TRUE, strict=True)))),
        ("rotated", field("lat", "lon", *TRUE, mapping=POLE)),
        ("projected", field("y", "x", *TRUE, mapping=CONE, axes=METRES)),
        ("projected", field("y", "x", *({**a, **b} for a, b in zip(PLANE, TRUE, strict=True)), axes=METRES)),
        ("projected", field("y", "x", {"units": "m"}, {"units": "m"}, axes=METRES)),
        ("projected", field("y", "x", mapping={"spatial_ref": "EPSG:3035"}, axes=METRES)),
    ],
)
def test_standard_names_and_grid_mappings_come_before_units(kind, ds):
    assert grid(ds).kind == kind


def test_degrees_on_axes_of_a_projection_are_read_as_metres_only_where_the_numbers_are_large():
    assert grid(field(mapping=CONE, y_attrs=TRUE[0], x_attrs=TRUE[1], axes=METRES)).y_attrs["units"] == "m"
    assert "an axis y of a projection with units 'degrees_north'" in refused(
        field(mapping=CONE, y_attrs=TRUE[0], x_attrs=TRUE[1])
    )


def test_true_axes_with_the_mapping_of_a_rotated_pole_are_refused():
    names = {"standard_name": "latitude"}, {"standard_name": "longitude"}
    assert "grid_north_pole_latitude 30" in refused(field("lat", "lon", *names, mapping=POLE))


def with_cells(ds, lat, lon, attributes=TRUE):
    y, x = ds.pr.dims
    return ds.assign(la=((y, x), lat, attributes[0]), lo=((y, x), lon, attributes[1]))


def turned_by_pole(ds):
    """Latitude and longitude of each cell by the formula of the rotation, with the north pole of the grid at 30 N."""
    y, x = (np.radians(a) for a in np.meshgrid(ds[ds.pr.dims[0]], ds[ds.pr.dims[1]], indexing="ij"))
    tilt = np.radians(90 - 30)
    lat = np.arcsin(np.sin(y) * np.cos(tilt) + np.cos(y) * np.cos(x) * np.sin(tilt))
    lon = np.arctan2(np.cos(y) * np.sin(x), np.cos(tilt) * np.cos(y) * np.cos(x) - np.sin(tilt) * np.sin(y))
    return np.degrees(lat), np.degrees(lon) + 10


def test_true_places_come_from_each_cell_or_from_the_grid_mapping():
    plain = field("rlat", "rlon", *GRID)
    lat, lon = turned_by_pole(plain)
    for ds in (field("rlat", "rlon", *GRID, mapping=POLE), with_cells(plain, lat, lon)):
        found = latitude_longitude(grid(ds).true_points())
        np.testing.assert_allclose(found[0], lat[::-1], atol=1e-6)  # north first
        np.testing.assert_allclose(found[1], lon[::-1], atol=1e-6)
    assert grid(plain).true_points() is None


def test_a_mapping_that_is_not_complete_tells_no_place():
    for name in ("standard_parallel", "longitude_of_central_meridian", "latitude_of_projection_origin"):
        part = {key: value for key, value in CONE.items() if key != name}
        assert grid(field(mapping=part, axes=METRES)).true_points() is None
    assert grid(field(mapping=CONE, axes=METRES)).true_points() is not None


def test_true_axes_that_are_not_those_of_the_cells_are_refused():
    ds = field("lat", "lon", *TRUE)
    lat, lon = np.meshgrid(ds.lat, ds.lon, indexing="ij")
    assert grid(with_cells(ds, lat + 0.1, lon)).kind == "latitude/longitude"
    message = refused(with_cells(ds, lat + 40, lon))
    assert "place a cell at latitude" in message
    assert "rotated pole" in message


@pytest.mark.parametrize("stated", ["crs: y x", "other: lat lon crs: y x", "crs:y x"])
def test_the_long_form_of_grid_mapping(stated):
    ds = field(mapping=CONE, axes=METRES)
    ds["other"] = xr.DataArray(0, attrs={"grid_mapping_name": "latitude_longitude"})
    ds.pr.attrs["grid_mapping"] = stated
    assert grid(ds).crs.attrs["grid_mapping_name"] == "lambert_conformal_conic"


def test_a_mapping_that_no_variable_names_is_taken_if_it_is_the_only_one():
    ds = field(mapping=CONE, axes=METRES)
    del ds.pr.attrs["grid_mapping"]
    found = placed(ds)
    assert found.grid.crs is not None
    assert any("the only one of the file" in note for note in found.notes)
    left = field("lat", "lon", *TRUE, mapping=POLE)
    del left.pr.attrs["grid_mapping"]
    assert (grid(left).kind, grid(left).crs) == ("latitude/longitude", None)


def test_rotated_longitudes_may_be_counted_from_elsewhere():
    east = field("rlat", "rlon", *GRID, axes=(np.arange(4.0), 358 + np.arange(5.0)))
    np.testing.assert_allclose(grid(east).x, -2 + np.arange(5.0))


# --------------------------------------------------------------------------- grids without axes


def on_a_cone(rows=4, columns=5, size=5.0, south_first=True):
    """A grid of a projection without its axes: `pr` with latitude and longitude of each cell."""
    y, x = 100e3 + 1e3 * size * np.arange(rows), -300e3 + 1e3 * size * np.arange(columns)
    axes = {"standard_name": "projection_y_coordinate"}, {"standard_name": "projection_x_coordinate"}
    full = xr.Dataset({"pr": (("y", "x"), np.ones((rows, columns)))}, {"y": ("y", y, axes[0]), "x": ("x", x, axes[1])})
    full["crs"] = xr.DataArray(0, attrs={**CONE, "earth_radius": 6371000.0})
    full.pr.attrs["grid_mapping"] = "crs"
    lat, lon = latitude_longitude(grid(full).true_points()[::-1])
    bare = with_cells(xr.Dataset({"pr": full.pr.drop_vars(["y", "x"]).drop_attrs()}), lat, lon)
    return bare if south_first else bare.isel(y=slice(None, None, -1))


@pytest.mark.parametrize("turn", [lambda ds: ds, lambda ds: ds.transpose("x", "y"), lambda ds: ds.rename(y="j", x="i")])
@pytest.mark.parametrize("south_first", [True, False])
def test_a_grid_without_axes_gets_axes_in_km_by_its_cells(turn, south_first):
    found = placed(turn(on_a_cone(south_first=south_first)))
    assert found.grid.kind == "projected"
    assert found.grid.steps == pytest.approx((5, 5), rel=0.02)
    assert found.grid.y_attrs["units"] == "km"
    lat, lon = latitude_longitude(found.grid.true_points())
    assert (np.diff(lat, axis=0) < 0).all()
    assert (np.diff(lon, axis=1) > 0).all()
    assert any("no axes in the file" in note for note in found.notes)


def test_a_grid_whose_cells_are_not_evenly_apart_is_refused_without_axes():
    lat, lon = np.meshgrid([0.0, 1, 2, 4.5], np.arange(5.0), indexing="ij")
    ds = xr.Dataset({"pr": (("y", "x"), np.ones((4, 5)))})
    assert "km apart" in refused(with_cells(ds, lat + 0.1 * lon, lon))


def test_positions_may_have_the_names_of_the_dimensions():
    bare = on_a_cone().rename(y="lat", x="lon")
    bare = xr.Dataset({"pr": bare.pr, "lat": bare.la, "lon": bare.lo})
    assert grid(bare).steps == pytest.approx((5, 5), rel=0.02)


def test_positions_in_radians():
    bare = on_a_cone()
    radians = {"units": "radian", "standard_name": "latitude"}, {"units": "radian", "standard_name": "longitude"}
    turned = with_cells(bare, np.radians(bare.la.values), np.radians(bare.lo.values), radians)
    np.testing.assert_allclose(grid(turned).true_points(), grid(bare).true_points())


def test_latitudes_and_longitudes_that_only_repeat_axes_are_the_axes():
    lat, lon = np.meshgrid(50 - np.arange(4.0), np.arange(5.0), indexing="ij")
    found = grid(with_cells(xr.Dataset({"pr": (("j", "i"), np.ones((4, 5)))}), lat, lon))
    assert found.kind == "latitude/longitude"
    np.testing.assert_allclose(found.y, 50 - np.arange(4.0))
