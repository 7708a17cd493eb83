import xarray as xr

from rainshaft.application.extrapolation import judge, sentence, table
from rainshaft.config.slices import RangeSettings
from rainshaft.errors import UserError
from rainshaft.files import write_json
from rainshaft.jobs.runtime import job, log
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    sums = xr.load_dataset(snakemake.input.sums)
    fault = judge(sums)
    if fault and read_slice(snakemake.input.config, RangeSettings).out_of_range == "refuse":
        raise UserError(f"applications.{snakemake.wildcards.application}.predictors: {fault}")
    if fault:
        log.warning("%s: %s", snakemake.wildcards.application, fault)
    write_json({"fault": fault, "sentence": sentence(sums), "rows": table(sums)}, snakemake.output.judged)
