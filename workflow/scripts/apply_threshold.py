from pathlib import Path

from rainshaft.config.slices import ThresholdSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice
from rainshaft.sampling.threshold import apply_threshold

with job(snakemake.log[0], snakemake.threads):
    apply_threshold(
        [Path(path) for path in snakemake.input.samples],
        read_slice(snakemake.input.config, ThresholdSettings),
        [Path(path) for path in snakemake.input.fields],
        Path(snakemake.output.synth),
    )
