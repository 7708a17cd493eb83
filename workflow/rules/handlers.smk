# What happens before the first job, after the last one, and after an error.
import json

from rainshaft.locks import Lock

RUN_LOCK = Lock(Path(".snakemake/rainshaft.lock"))  # it ends with this process, even if the process is killed


def be_alone():
    """Before the first job: make sure that no other run works in this folder, and cancel the jobs of a killed run."""
    from rainshaft.jobs.cluster import cancel_left_jobs, jobs_in_queue

    if not RUN_LOCK.take():
        sys.exit(
            f"Another run works in this folder: {RUN_LOCK.holder}. Nothing was started; wait for its end, or work in "
            "another clone."
        )
    if not RUN_LOCK.is_sure and (queued := jobs_in_queue(Path.cwd())):
        sys.exit(
            f"Jobs of this folder are in the queue ({', '.join(queued)}), and they may belong to a run that is alive: this "
            "file system has no locks that would tell. Nothing was started; wait for its end, or scancel them."
        )
    try:
        if cancelled := cancel_left_jobs(Path.cwd()):
            print(f"Cancelled {cancelled} jobs that an earlier run had left in the queue", file=sys.stderr)
    except UserError as error:
        sys.exit(str(error))


def cancel_what_is_left():
    """After Ctrl-C: cancel the jobs that Snakemake overlooks because it is just asking for their state."""
    from rainshaft.jobs.cluster import cancel_jobs

    if RUN_LOCK.is_sure:  # otherwise they may belong to another run
        cancel_jobs(Path.cwd())


def check_input():
    """Before the first job: look at the header of every raw file. One message names all that is wrong.

    It also says what the files leave open.
    """
    from rainshaft.data.prepare import check_sources
    from rainshaft.sampling.adopt import check_ensemble

    if left_out := set(CONFIG.baselines.names) - set(BASELINES):
        for name in sorted(left_out):
            package = baselines.method_of(name).package
            print(f"{name} is left out of the comparison: {package} is not installed", file=sys.stderr)
    try:
        for name in DATASETS:
            if CONFIG.datasets[name].synthetic is None:
                settings = PrepareSettings(**dataset_slice(CONFIG, name, "prepare"))
                for sentence in check_sources(settings, CONFIG.datasets[name].years):
                    print(f"{name}: {sentence}", file=sys.stderr)
        for name in CONFIG.adopted:
            for sentence in check_ensemble(CONFIG, name):
                print(f"{name}: {sentence}", file=sys.stderr)
        check_applications()
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def check_applications():
    """Look at the headers of the files of applications."""
    if not CONFIG.applications:
        return
    from rainshaft.application.checks import check_application

    for name, entry in CONFIG.applications.items():
        if entry.zarr and not find_spec("zarr") and not workflow.deployment_settings.deployment_method:
            raise UserError(
                f"applications.{name}.zarr: found true, but the package zarr is not installed; install it where "
                'Snakemake is (`pip install "rainshaft[zarr]"`), or write false'
            )
        for sentence in check_application(CONFIG, name)[1]:
            print(f"{name}: {sentence}", file=sys.stderr)


def show_verdicts():
    """After the last job: print the verdict on every experiment. Of replicates it is the verdict on the first."""
    from rainshaft.evaluation.verdict import summary

    for path in map(Path, of_runs(f"{CONFIG.results}/{{experiment}}/evaluation/{{mode}}/verdict.json", FIRST)):
        if path.exists():  # it is missing if only a part was asked for
            print(summary(json.loads(path.read_text(encoding="utf-8"))), file=sys.stderr)
    if CONFIG.replicates > 1:
        print(
            f"These are the verdicts on the first of {CONFIG.replicates} replicates. The means over all of them are in "
            f"{CONFIG.results}/comparison/table.md",
            file=sys.stderr,
        )
