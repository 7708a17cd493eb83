from pathlib import Path

import xarray as xr

from rainshaft.application.change import maps_of_change, markdown_of_change, table_of_change
from rainshaft.figures.change import change_maps, change_of_area
from rainshaft.files import atomic, write_json, write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    names = tuple(snakemake.params.names)
    (base, *of_base), (future, *of_future) = (
        [xr.load_dataset(path) for path in snakemake.input[part]] for part in ("base", "future")
    )
    coarse = (of_base[0], of_future[0]) if of_base and of_future else None
    maps, rows = maps_of_change(base, future), table_of_change(base, future, coarse)
    write_netcdf(maps, snakemake.output.change)
    write_json(rows, snakemake.output.rows)
    with atomic(snakemake.output.table) as temporary:
        text = f"# {names[1]}, change from {names[0]}\n\n{markdown_of_change(rows, names)}"
        Path(temporary).write_text(text, encoding="utf-8")
    change_maps(maps, snakemake.output.maps, names)
    change_of_area(base, future, snakemake.output.area, names, coarse)
