from rainshaft.config.slices import EvaluateSettings, ThresholdSettings
from rainshaft.evaluation.thresholds import trace
from rainshaft.files import atomic
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, EvaluateSettings)
    table = trace(
        snakemake.input.samples,
        snakemake.input.fields,
        settings,
        read_slice(snakemake.input.threshold, ThresholdSettings).pixel_threshold,
        seed=settings.seed,
    )
    with atomic(snakemake.output.table) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", encoding="utf-8")
