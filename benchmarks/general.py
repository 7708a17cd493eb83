"""How good the general networks are where they have never been: each public record is left out in turn.

    python benchmarks/general.py FOLDER [RECORD ...]

For each record of the recipe (or those named), networks are trained on all others, and refine this one. Beside them
stand a model that is trained on the record itself, and the simple methods that refine coarse rain, fitted on the spot.
The workflow trains, draws and scores. A step of a record counts as a day there, so that hours can be scored: amounts
are those of a step. Weights that are in FOLDER/weights are not made again. The table is FOLDER/table.md.

Each record is refined by 8. One that is too small for this is refined by the largest factor for which it has three
coarse cells along each side.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

from rainshaft.refinements import GENERAL_FACTORS
from rainshaft.training.general.__main__ import RECIPE
from rainshaft.training.general.mix import LEAST_COARSE_CELLS, read
from rainshaft.training.general.settings import RecordFiles, read_settings

ROOT = Path(__file__).resolve().parent.parent
MOST_STEPS = 1461  # of a record, four years of days; more would only take longer
KM_PER_DEGREE = 111.2
BASELINES = ("bilinear", "rainfarm", "fragments")
SCORES = {
    "fair_crps": ("fair CRPS", "{:.4g}"),
    "spread_skill": ("spread/skill", "{:.2f}"),
    "p999_ratio": ("P99.9", "{:.2f}"),
    "wet_difference": ("wet, points", "{:+.1f}"),
    "gradient_ratio": ("gradient", "{:.2f}"),
}
"""score -> its column"""


def factor_of(rain: np.ndarray) -> int:
    """The factor by which a record is refined."""
    return max(f for f in GENERAL_FACTORS if min(rain.shape[1:]) // f >= LEAST_COARSE_CELLS)


def write_record(name: str, files: RecordFiles, folder: Path) -> dict[str, object]:
    """Write a record with a day for each step, and give its entry of `datasets`."""
    rain = read(name, files)[:MOST_STEPS]
    factor = factor_of(rain)
    time = np.datetime64("2000-01-01") + np.arange(len(rain)).astype("timedelta64[D]")
    lat, lon = (files.cell_km / KM_PER_DEGREE * np.arange(size) for size in rain.shape[1:])
    axes = {"lat": ("lat", 5 - lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    data = xr.DataArray(rain, {"time": time.astype("datetime64[ns]"), **axes}, ("time", "lat", "lon"), "pr")
    years = sorted(set(data.time.dt.year.values.tolist()))
    for year in years:
        data.sel(time=str(year)).assign_attrs(units="mm/day").to_netcdf(folder / f"{name}_{year}.nc")
    return {
        "description": f"{files.cell_km:g} km, {files.hours:g} h, refined by {factor}",
        "years": years,
        "factor": factor,
        "rain": {"files": [str(folder / f"{name}_{{year}}.nc")], "variable": "pr"},
        "split": {"by": "blocks", "block_days": 10},
        "heavy_percentile": 75,
    }


def configuration(folder: Path, names: list[str]) -> Path:
    """Make the weights and the records, and write the configuration of the workflow."""
    settings, datasets, experiments = read_settings(RECIPE), {}, {}
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for name in names:
        datasets[name] = write_record(name, settings.records[name], folder / "records")
        weights = folder / "weights" / name
        if not (weights / "general.json").exists():
            words = [str(weights), "--without", name, "--factors", str(datasets[name]["factor"])]
            subprocess.run([sys.executable, "-m", "rainshaft.training.general", *words], check=True, cwd=ROOT)
        experiments[f"{name}-general"] = {"source": "general", "dataset": name, "weights": str(weights)}
        experiments[f"{name}-trained"] = {"dataset": name}
    content = {
        "results": str(folder / "results"),
        "datasets": datasets,
        "experiments": experiments,
        "baselines": {"names": list(BASELINES)},
        "sampling": {"mode": "prior", "pixel_threshold": 0.0, "days": "split:test"},
    }
    path = folder / "general.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def row(name: str, path: Path) -> str:
    """A row of the table: a score on the validation days, and on the test days."""
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = []
    for score, (_, form) in SCORES.items():
        factor = 100 if score == "wet_difference" else 1
        values = [content[part]["all_days"]["scores"][score]["value"] for part in ("validation", "test")]
        # a single field has no spread
        cells.append("; ".join("-" if value is None else form.format(factor * value) for value in values))
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Make everything, and print the table."""
    folder = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or list(read_settings(RECIPE).records)
    config = configuration(folder, names)
    wanted = methods(folder / "results", names)
    targets = [str(path) for of_record in wanted.values() for path in of_record.values()]
    subprocess.run(["snakemake", "--cores", "all", *targets, "--configfile", str(config)], check=True, cwd=ROOT)
    lines = table(wanted)
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def methods(results: Path, names: list[str]) -> dict[str, dict[str, Path]]:
    """Record -> method -> its scores."""
    return {
        name: {
            "general, without this record": results / f"{name}-general/evaluation/prior/scores.json",
            "trained on it": results / f"{name}-trained/evaluation/prior/scores.json",
            **{one: results / f"data/{name}/evaluation/{one}/scores.json" for one in BASELINES},
        }
        for name in names
    }


def table(wanted: dict[str, dict[str, Path]]) -> list[str]:
    """Write the table of all records and methods as Markdown."""
    return [
        "Each cell: validation days; test days.",
        "",
        f"| record, method | {' | '.join(title for title, _ in SCORES.values())} |",
        f"| --- |{' --- |' * len(SCORES)}",
        *(row(f"{name}: {method}", path) for name, found in wanted.items() for method, path in found.items()),
    ]


if __name__ == "__main__":
    main()
