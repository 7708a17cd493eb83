"""An edit reruns what it touches, and nothing else."""

import os
import subprocess
import time

import pytest

COMPARISON = {
    "plot_comparison_maps",
    "plot_comparison_distributions",
    "plot_comparison_scores",
    "plot_comparison_differences",
    "write_report",
}
AFTER_THRESHOLD = {
    "apply_threshold",
    "evaluate_samples",
    "judge_experiment",
    "compare_experiments",
    "plot_samples",
    "plot_distribution",
    "trace_thresholds",
    "plot_thresholds",
    "describe_model",
    *COMPARISON,
}
AFTER_SAMPLE = {"sample_fields", *AFTER_THRESHOLD}
TRADEOFF = {"trace_tradeoff", "plot_tradeoff"}
AFTER_TRAIN = {"train_model", "export_model", "plot_training", *TRADEOFF, *AFTER_SAMPLE}
BASELINES = {"make_baseline", "evaluate_baseline"}
AFTER_NORMALISATION = {"fit_normalisation", *BASELINES, *AFTER_TRAIN}
AFTER_PREPARE = {"prepare_year", *AFTER_NORMALISATION}
THRESHOLDS = {"trace_thresholds", "plot_thresholds"}  # of the prior, which gradient-loss does not draw
FREEZE = {"freeze_config", "freeze_dataset_config"}


VERBS = {"train_model": "Training", "sample_fields": "Sampling", "apply_threshold": "Applying the pixel threshold to"}
VERBS |= {"evaluate_samples": "Evaluating"}


def experiments(plan, rule):
    """The experiments for which a rule would run."""
    verb = VERBS[rule]
    return {text.removeprefix(verb).split()[0].strip(",") for text in plan.messages if text.startswith(verb + " ")}


def test_nothing_runs_again_by_itself(finished):
    assert finished.planned().rules == set()


EDITS = [
    ("pixel_threshold: auto", "pixel_threshold: 1.0", AFTER_THRESHOLD, {"calibrated"}),
    ("members: 3", "members: 4", AFTER_SAMPLE, None),
    ("sampling: {members: 3", "sampling: {days: 'split:train', members: 3", AFTER_SAMPLE, None),
    ("sampling: {members: 3", "sampling: {temperature: 0.9, members: 3", AFTER_SAMPLE | TRADEOFF, None),
    (
        "sampling: {members: 3",
        "sampling: {posterior_scales: 2, members: 3",
        (AFTER_SAMPLE | TRADEOFF) - THRESHOLDS,
        {"gradient-loss"},
    ),
    ("lambda_grad: 2.0", "lambda_grad: 1.5", AFTER_TRAIN - THRESHOLDS, {"gradient-loss"}),
    ("width: 4", "width: 8", AFTER_TRAIN, None),
    ("epochs: 2", "epochs: 3", AFTER_TRAIN, None),
    ("factor: 4", "factor: 8", {"make_demo_data", *AFTER_PREPARE}, None),
    ("variable: orog}", "variable: sftlf}", AFTER_PREPARE, None),
    ("test]}", "test, train]}", AFTER_NORMALISATION, None),
    (
        "bootstrap: 10",
        "bootstrap: 20",
        {"evaluate_baseline", *AFTER_THRESHOLD} - {"apply_threshold", "plot_samples", "plot_comparison_maps"},
        None,
    ),
    (
        "dpi: 60",
        "dpi: 61",
        {"plot_samples", "plot_distribution", "plot_thresholds", "plot_training", "plot_tradeoff", *COMPARISON},
        None,
    ),
    ("batch_size: 32", "gpus: 2, batch_size: 32", set(), None),
    ("augmentation: {seeds: 2", "augmentation: {seeds: 3", set(), None),
]


@pytest.fixture(scope="module")
def plans(finished, tmp_path_factory):
    """What would run after each of the edits."""

    def plan(edit):
        project = finished.copy(tmp_path_factory.mktemp("edit") / "project")
        project.edit("tiny.yaml", *edit[:2])
        return project.planned()

    return {edit[1]: plan(edit) for edit in EDITS}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit[1])
def test_an_edit_of_the_configuration_reruns_what_it_touches(plans, edit):
    _, new, expected, touched = edit
    plan = plans[new]
    assert plan.rules - FREEZE == expected
    for rule in ("train_model", "sample_fields", "apply_threshold"):
        if touched is not None and rule in expected:
            assert experiments(plan, rule) == touched


def test_comments_key_order_and_profile_rerun_nothing(project):
    text = (project.folder / "tiny.yaml").read_text(encoding="utf-8")
    head, data = text.split("datasets:\n")
    data, experiments_ = data.split("experiments:\n")
    (project.folder / "tiny.yaml").write_text(
        f"# another comment\nexperiments:\n{experiments_}\ndatasets:\n{data}\n{head}".replace(
            "epochs: 2, coarse_epochs: 1", "coarse_epochs: 1, epochs: 2"
        ),
        encoding="utf-8",
    )
    assert project.planned().rules == set()
    assert project.planned("--profile", "profiles/slurm").rules == set()


def test_another_experiment_reruns_no_other(project):
    with open(project.folder / "tiny.yaml", "a", encoding="utf-8") as file:
        file.write("  new-one: {dataset: tiny}\n")
    plan = project.planned()
    assert experiments(plan, "train_model") == {"new-one"}
    assert experiments(plan, "evaluate_samples") == {"new-one"}
    assert "fit_normalisation" not in plan.rules


LOSSES, SCORES = "rainshaft/training/losses.py", "rainshaft/evaluation/formulas/ensemble.py"
CODE = [  # module, function, what runs again after a change of its meaning
    (LOSSES, "masked_mean", AFTER_TRAIN),
    ("rainshaft/sampling/threshold.py", "apply_threshold", AFTER_THRESHOLD - {"trace_thresholds"}),
    ("rainshaft/evaluation/verdict.py", "judge", {"judge_experiment", "write_report"}),
    (
        "rainshaft/baselines/methods/bilinear.py",
        "make",
        {*BASELINES, "compare_experiments", "describe_model", *COMPARISON},
    ),
    ("rainshaft/figures/maps.py", "sample_maps", {"plot_samples", "write_report"}),
    ("rainshaft/figures/scores.py", "comparison_scores", {"plot_comparison_scores", "write_report"}),
    ("rainshaft/report/page.py", "render", {"write_report"}),
    ("rainshaft/jobs/runtime.py", "job", set()),
]


@pytest.fixture(scope="module")
def plans_of_code(finished, tmp_path_factory):
    """What would run after a change of words and after a change of meaning in each of the functions."""

    def plan(change):
        module, function, _ = change
        project = finished.copy(tmp_path_factory.mktemp("code") / "project")
        project.change_words(module, function)
        words = project.planned().rules
        project.change_meaning(module, function)
        return words, project.planned()

    return {change[0]: plan(change) for change in CODE}


@pytest.mark.parametrize(("module", "function", "expected"), CODE, ids=[module for module, *_ in CODE])
def test_the_code_reruns_by_its_meaning_alone(plans_of_code, module, function, expected):
    words, meaning = plans_of_code[module]
    assert words == set()
    assert meaning.rules - FREEZE == expected


def test_a_new_score_or_loss_that_nothing_uses_reruns_nothing(project):
    for module in (LOSSES, SCORES):
        with open(project.folder / module, "a", encoding="utf-8") as file:
            file.write("\n\ndef another(values):\n    return values\n")
    assert project.planned().rules == set()


def test_touch_and_git_checkout_rerun_nothing(project):
    later = time.time() + 5
    for name in (
        "Snakefile",
        "tiny.yaml",
        *(
            str(p)
            for part in ("workflow", "rainshaft", "config")
            for p in (project.folder / part).rglob("*")
            if p.is_file()
        ),
    ):
        os.utime(project.folder / name, (later, later))
    assert project.planned().rules == set()

    def git(*arguments):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=project.folder, check=True, capture_output=True)

    git("init", "-q")
    git("add", "Snakefile", "tiny.yaml", "workflow", "rainshaft", "config", "profiles")
    git("commit", "-q", "-m", "one")
    project.change_meaning(LOSSES, "masked_mean")
    project.edit("workflow/scripts/train_model.py", "with job", "print()\nwith job")
    git("commit", "-q", "-a", "-m", "two")
    git("checkout", "-q", "HEAD~1")
    assert project.planned().rules == set()
