from pathlib import Path

from rainshaft.baselines import make
from rainshaft.runtime import job
from rainshaft.stages import fingerprint, read_slice

with job(snakemake.log[0], snakemake.threads):
    frozen = Path(snakemake.input.config)
    settings = read_slice(frozen)
    make(
        snakemake.wildcards.baseline,
        fields=[Path(path) for path in snakemake.input.fields],
        statistics=Path(snakemake.input.statistics),
        path=Path(snakemake.output.ensemble),
        K=settings["K"],
        seed=settings["seed"],
        config_fingerprint=fingerprint(frozen.read_text()),
    )
