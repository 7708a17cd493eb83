from pathlib import Path

from rainshaft.runtime import job
from rainshaft.stages import read_slice
from rainshaft.threshold import apply_threshold

with job(snakemake.log[0], snakemake.threads):
    apply_threshold(
        [Path(path) for path in snakemake.input.samples],
        read_slice(snakemake.input.config),
        [Path(path) for path in snakemake.input.fields],
        Path(snakemake.output.synth),
    )
