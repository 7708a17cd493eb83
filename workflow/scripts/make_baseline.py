from pathlib import Path

from rainshaft.baselines import make
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config)
    make(
        snakemake.wildcards.baseline,
        fields=[Path(path) for path in snakemake.input.fields],
        statistics=Path(snakemake.input.statistics),
        path=Path(snakemake.output.ensemble),
        K=settings["K"],
        seed=settings["seed"],
    )
