"""The configuration: defaults, what an experiment overrides, and one clear line for each fault."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from rainshaft.baselines.table import names
from rainshaft.config.load import SHARED_SECTIONS, ConfigError, load

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config"
EXAMPLES = [*sorted(FOLDER.glob("*.yaml")), *(ROOT / ".test/config").glob("*.yaml")]
BASELINES = names()


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture
def raw():
    return read(FOLDER / "config.yaml")


def faults(raw, **changes):
    """The message for the demo's configuration with dotted keys changed."""
    raw = copy.deepcopy(raw)
    for dotted, value in changes.items():
        *path, key = dotted.split("__")
        section = raw
        for step in path:
            section = section.setdefault(step, {}) if isinstance(section, dict) else section[int(step)]
        section[key] = value
    with pytest.raises(ConfigError) as error:
        load(raw, BASELINES)
    return str(error.value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid(path):
    assert load(read(path), BASELINES).experiments


def test_shared_sections_are_defaults_of_every_experiment(raw):
    raw["loss"] = {"lambda_grad": 0.7, "tail_boost": 3.0}
    loaded = load(raw, BASELINES).experiments
    assert loaded["calibrated"].loss.lambda_grad == 0.7
    assert loaded["gradient-loss"].loss.lambda_grad == 2.0
    assert loaded["gradient-loss"].loss.tail_boost == 3.0


def test_one_replicate_is_the_experiment_itself_with_the_seed_of_the_file_or_its_own(raw):
    raw["seed"] = 7
    raw["experiments"]["calibrated"]["seed"] = 3
    loaded = load(raw, BASELINES)
    assert {name: e.seed for name, e in loaded.experiments.items()} == {
        "smooth-background": 7,
        "gradient-loss": 7,
        "calibrated": 3,
        "general": 7,
    }
    assert loaded.families == {name: (name,) for name in raw["experiments"]}
    assert load(raw | {"replicates": 1}, BASELINES).experiments == loaded.experiments


def test_replicates_differ_in_name_and_seed_alone(raw):
    raw["seed"] = 7
    raw["experiments"]["calibrated"]["seed"] = 3
    once, loaded = load(raw, BASELINES), load(raw | {"replicates": 3}, BASELINES)
    assert loaded.families["general"] == ("general",)  # nothing is trained
    assert loaded.families["gradient-loss"] == ("gradient-loss-s1", "gradient-loss-s2", "gradient-loss-s3")
    assert list(loaded.families) == list(once.experiments)
    assert [name for names in loaded.families.values() for name in names] == list(loaded.experiments)
    seeds = {family: [loaded.experiments[name].seed for name in names] for family, names in loaded.families.items()}
    assert seeds == {
        "smooth-background": [7, 8, 9],
        "gradient-loss": [7, 8, 9],
        "calibrated": [3, 4, 5],
        "general": [7],
    }
    for family, replicates in loaded.families.items():
        same = once.experiments[family].model_dump(exclude={"seed"})
        assert all(loaded.experiments[name].model_dump(exclude={"seed"}) == same for name in replicates)


def test_a_fault_is_told_once_whatever_the_number_of_replicates(raw):
    assert len(faults(raw, replicates=3, experiments__calibrated__dataset="dem").splitlines()) == 1


def test_each_variant_of_the_ablation_differs_from_the_default_in_one_section_or_in_the_mass():
    loaded = load(read(FOLDER / "ablation.yaml") | {"replicates": 1}, BASELINES)
    for name, experiment in loaded.experiments.items():
        full = loaded.experiments[f"full-{experiment.dataset}"]
        assert name.endswith(f"-{experiment.dataset}")
        changed = {s for s in SHARED_SECTIONS if getattr(experiment, s) != getattr(full, s)}
        assert len(changed) == (0 if experiment is full else 2 if name.startswith("free-mass-") else 1), name


def test_1_and_1_0_are_the_same_number(raw):
    first, second = copy.deepcopy(raw), copy.deepcopy(raw)
    first["loss"], second["loss"] = {"lambda_grad": 1}, {"lambda_grad": 1.0}
    dumps = [load(r, BASELINES).model_dump_json() for r in (first, second)]
    assert dumps[0] == dumps[1]


def test_a_typo_names_the_nearest_key(raw):
    assert faults(raw, loss__lamda_grad=1.0) == "loss.lamda_grad: unknown key; did you mean lambda_grad?"
    assert faults(raw, experiment={}) == "experiment: unknown key; did you mean experiments?"
    where = "experiments.calibrated.sampling.pixel_treshold"
    assert faults(raw, experiments__calibrated={"dataset": "demo", "sampling": {"pixel_treshold": 1}}) == (
        f"{where}: unknown key; did you mean pixel_threshold?"
    )
    assert faults(raw, datasets__demo__predictors__0__variabel="x") == (
        "datasets.demo.predictors.0.variabel: unknown key; did you mean variable?"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss__lambda_grad": "1"}, "loss.lambda_grad: found '1', expected a number"),
        ({"train__epochs": 3.5}, "train.epochs: found 3.5, expected a whole number"),
        ({"train__amp": "yes"}, "train.amp: found 'yes', expected true or false"),
        ({"sampling__members": 1}, "sampling.members: found 1, expected 2 or more"),
        ({"train__device": "gpu"}, "train.device: found 'gpu', expected 'auto', 'cpu' or 'cuda'"),
        ({"sampling__pixel_threshold": "x"}, "sampling.pixel_threshold: found 'x', expected a number or 'auto'"),
        ({"sampling__memory": 1}, "sampling.memory: found 1, expected 0.99 or less"),
        ({"sampling__posterior_scales": 0}, "sampling.posterior_scales: found 0, expected 1 or more or 'all'"),
        ({"sampling__posterior_scales": 2.0}, "posterior_scales: found 2.0, expected a whole number or 'all'"),
        (
            {"sampling__posterior_scales": 5},
            "experiments.smooth-background.sampling.posterior_scales: found 5, but with factor 8 of dataset 'demo' the "
            "network has 4 scales; write 4 or less, or `all`",
        ),
        (
            {"datasets__demo__predictors__3__variable": "uas"},
            "experiments.smooth-background.train.flips: found true, but predictor uas of dataset 'demo' is a component "
            "of the wind, which would point the wrong way in a mirrored patch; write `flips: false`",
        ),
        (
            {"train__early_stopping_metric": "val_L_crps"},  # one of the demo's recipes has no CRPS in its loss
            "experiments.smooth-background.train.early_stopping_metric: found `val_L_crps`, but the loss has no such "
            "term when loss.lambda_crps is 0",
        ),
        ({"sampling__pixel_threshold": -1}, "sampling.pixel_threshold: found -1.0, expected 0 or more or 'auto'"),
        ({"loss__w_min": 7}, "loss.w_min: found 7.0, expected at most w_max, which is 1.0; change one"),
        ({"loss__pool_sizes": [8, 2]}, "loss.pool_sizes: found [8, 2], expected ascending sizes; write [2, 8]"),
        ({"train": None}, "train: found nothing, expected a section with keys"),
        ({"train__lr": "1e-3"}, "train.lr: found '1e-3', expected a number; write 0.001"),
        ({"datasets__demo__years": "2001-2003"}, "expected a list such as [a, b]; write [2001, 2002, 2003]"),
        ({"datasets__demo__rain__variable": False}, "found false, expected a text; YAML reads yes, no, on and off as"),
        ({"datasets__demo__rain__variable": 850}, "found 850, expected a text; write it in quotes"),
        (
            {"results": "out/{experiment}"},
            "results: found 'out/{experiment}', expected the path of a folder without any",
        ),
        ({"results": "~/out"}, "results: found '~/out', expected the path of a folder"),
        ({"results": "$SCRATCH/out"}, "results: found '$SCRATCH/out', expected the path of a folder"),
        ({"train__gpus": 3}, "train.gpus: found 3, expected a number that divides batch_size, which is 8"),
        ({"sampling__days": "all"}, "sampling.days: found 'all', expected `heavy_only`, `split:train`"),
        ({"loss__colour": 1}, "loss.colour: unknown key; the keys here are scale, w_min"),
        ({"baselines__names": ["bilinaer"]}, "baselines.names: found 'bilinaer', expected names among analogs"),
        ({"datasets__demo__years": [2001, 2001]}, "datasets.demo.years: found a year twice in [2001, 2001]"),
        ({"datasets__demo__predictors": []}, "datasets.demo.predictors: found an empty list; name files"),
        ({"datasets__demo__predictors__1__quantity": "rain"}, "predictors: found 2 with `quantity: rain`, expected at"),
        ({"datasets__demo__predictors__1__variable": "pr"}, "expected each name once; give a predictor another `name`"),
        ({"datasets__demo__rain__files": "rain.nc"}, "rain.files: found 'rain.nc', expected a list such as [a, b]"),
        (
            {"datasets__demo__split": {"by": "blocks", "cycle": ["train"]}},
            "split.cycle: found no validation and no test",
        ),
        ({"experiments__bilinear": {"dataset": "demo"}}, "experiments.bilinear: a baseline has this name; choose"),
        ({"experiments__calibrated__dataset": "x"}, "no dataset is called 'x'; the datasets are demo"),
        ({"experiments__calibrated__dataset": "dem"}, "no dataset is called 'dem'; did you mean demo?"),
        ({"experiments__data": {"dataset": "demo"}}, "experiments.data: the results have a folder of this name"),
        (
            {"experiments__My Run": {"dataset": "demo"}},
            "experiments.My Run: found the key 'My Run', expected a name of lower-case",
        ),
        (
            {"datasets__demo__split": {"train": [2001], "validation": [2002], "test": [2002]}},
            "split.test: found 2002, which is also in validation",
        ),
        (
            {"datasets__demo__split": {"train": [2001], "validation": [2002], "test": [2031]}},
            "datasets.demo.split: found [2031], expected years among [2001, 2002, 2003]",
        ),
        (
            {"datasets__demo__split": {"train": [2001], "validation": [2002]}},
            "split.test: found no year, expected at least one",
        ),
        ({"datasets__demo__predictors__0__quantity": "other"}, "conserve: found `cells`, which needs coarse rain"),
        ({"replicates": 0}, "replicates: found 0, expected 1 or more"),
        ({"replicates": 21}, "replicates: found 21, expected 20 or less"),
        ({"experiments__calibrated__seed": -1}, "experiments.calibrated.seed: found -1, expected 0 or more"),
        (
            {"replicates": 3, "experiments__calibrated-s3": {"dataset": "demo"}},
            "experiments.calibrated-s3: a replicate of 'calibrated' has this name; rename it",
        ),
        (
            {"datasets__demo__predictors__0__context": True},
            "datasets.demo.predictors.0.context: found true with `quantity: rain`, but the model refines coarse rain",
        ),
        ({"datasets__demo__predictors__1__context": 1}, "predictors.1.context: found 1, expected true or false"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_fault_is_one_line_with_the_key_what_was_found_and_what_is_expected(raw, changes, message):
    found = faults(raw, **changes)
    assert message in found
    assert len(set(found.splitlines())) == len(found.splitlines())


@pytest.mark.parametrize("results", ["out", "/big disk/out", "../über [v2]/out", "it's & (mine)", "a=b,c;d"])
def test_a_folder_of_results_may_have_nearly_any_name(raw, results):
    assert load(raw | {"results": results}, BASELINES).results == results


def test_a_fault_in_a_shared_section_is_told_once(raw):
    assert len(faults(raw, train__epochs="many").splitlines()) == 1


def test_all_faults_are_told_at_once(raw):
    assert len(faults(raw, train__epochs="many", sampling__members=0, colour="red").splitlines()) == 3


def test_an_empty_file_says_what_is_missing():
    with pytest.raises(ConfigError, match=r"experiments: found none, expected a dataset and an experiment"):
        load({}, BASELINES)


def test_true_coarse_rain_is_not_drawn(raw):
    raw["datasets"]["demo"]["predictors"] = "coarsened"
    assert "conserve: found `drawn`, but dataset 'demo' has `predictors: coarsened`" in faults(
        raw, model__conserve="drawn"
    )


def test_free_mass_may_be_said_once_for_all_experiments(raw):
    raw["datasets"]["demo"]["predictors"][0]["quantity"] = "other"
    raw["model"] = {"conserve": "none"}
    del raw["experiments"]["general"]  # it needs coarse rain
    assert all(experiment.model.conserve == "none" for experiment in load(raw, BASELINES).experiments.values())


RUN = {"years": [2002], "predictors": [{"files": ["a.nc"], "variable": name} for name in ("pr", "tas")]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "model: found neither of `experiment` and `model`, expected one of them; write one"),
        ({"experiment": "calibratd"}, "experiment: no experiment is called 'calibratd'; did you mean calibrated?"),
        ({"model": "folder"}, "predictors: found none, expected the files of the predictors; add them"),
        ({"change_from": "mine"}, "change_from: no other application is called 'mine'; the others are other"),
        ({"change_from": "other"}, "expected an application of the model calibrated; the change would be that of"),
        ({"experiment": "calibrated", "adjust": "delta"}, "reference: found none with `adjust: delta`, expected years"),
        ({"experiment": "calibrated", "reference": RUN}, "adjust: found `none` with a reference; write"),
        (
            {"experiment": "calibrated", "adjust": "delta", "reference": RUN},
            "reference.predictors: found pr, tas, expected the predictors of the model, each once: pr, tas, huss, ",
        ),
        (
            {"experiment": "calibrated", "adjust": "quantile", "reference": RUN, "years": [2006, 2100]},
            "years: found 95 years from 2006 to 2100, expected at most 40: `adjust` takes all of them for one climate",
        ),
        (
            {"experiment": "calibrated", "adjust": "delta", "reference": RUN | {"years": [1850, 2001]}},
            "reference.years: found 152 years from 1850 to 2001, expected at most 40",
        ),
        ({"experiment": "calibrated", "years": [2002, 2002]}, "years: found a year twice in [2002, 2002]; write each"),
    ],
)
def test_a_fault_of_an_application_is_named(raw, changes, message):
    mine = {"experiment": "calibrated"} if "change_from" in changes else {}
    other = {"model": "folder", "years": [2002], "predictors": RUN["predictors"]}
    found = faults(raw, applications={"mine": {"years": [2002], **mine, **changes}, "other": other})
    assert f"applications.mine.{message}" in found or message in found
    assert len(found.splitlines()) == 1


def test_predictors_of_an_application_are_those_of_its_dataset(raw):
    raw["applications"] = {"later": {"experiment": "calibrated", "years": [2004]}}
    loaded = load(raw, BASELINES)
    assert loaded.applications["later"].predictors == loaded.datasets["demo"].predictors
    raw["datasets"]["demo"]["predictors"] = "coarsened"
    del raw["experiments"]["smooth-background"], raw["experiments"]["gradient-loss"]
    assert "which needs observed rain; add the files of coarse rain" in faults(raw)


def test_a_change_of_the_adjustment_is_no_change_of_the_climate(raw):
    files = [one | {"files": ["a.nc"]} for one in raw["datasets"]["demo"]["predictors"]]
    then, later = ({"experiment": "calibrated", "years": [year]} for year in (2002, 2003))
    later |= {"adjust": "delta", "reference": {"years": [2002], "predictors": files}, "change_from": "then"}
    message = faults(raw, applications={"then": then, "later": later})
    assert message.startswith("applications.later.change_from: found 'then' with `adjust: none`, expected the `adjust`")
    then |= {name: later[name] for name in ("adjust", "reference")}
    assert load(raw | {"applications": {"then": then, "later": later}}, BASELINES).applications["later"].change_from


# ------------------------------------------------------------------------------------------------ general networks


def test_general_networks_need_coarse_rain_and_a_factor_that_they_can_reach(raw):
    raw["experiments"] = {"general": {"source": "general", "dataset": "demo"}}
    raw["datasets"]["demo"]["factor"] = 16  # 8 x 2
    assert load(raw, BASELINES).general["general"].members == 10
    raw["datasets"]["demo"]["factor"] = 7
    assert "experiments.general.dataset: 'demo' has a factor: found 7, expected 2, 3, 4, 5, 8" in faults(raw)
    raw["datasets"]["demo"]["predictors"][0]["quantity"] = "other"
    assert "has no predictor with `quantity: rain`" in faults(raw)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"train": {"start": "general"}, "model": {"width": 12}}, "model.width: found 12 with `start: general`"),
        (
            {"train": {"start": "general"}, "model": {"conserve": "none", "width": 16}},
            "keep the coarse rain and this model does not",
        ),
        ({"loss": {"posterior_members": 0}, "sampling": {"mode": "both"}}, "trains no posterior; write `mode: prior`"),
        ({"loss": {"posterior_members": 0, "lambda_crps": 0.0}}, "there is nothing to learn from"),
        (
            {"loss": {"posterior_members": 0}, "train": {"early_stopping_metric": "val_L_rec"}},
            "with `posterior_members: 0` a network has no posterior, and so no such term",
        ),
    ],
)
def test_starts_and_losses_that_do_not_fit_are_refused(raw, keys, message):
    raw["experiments"] = {"one": {"dataset": "demo"} | keys}
    assert re.search(message, faults(raw))


def test_an_application_of_general_networks_needs_its_factor_and_one_predictor(raw):
    rain = {"files": ["a.nc"], "variable": "pr"}
    entry = {"model": "general", "factor": 8, "years": [2001], "predictors": [rain]}
    raw["applications"] = {"anywhere": entry}
    assert load(raw, BASELINES).applications["anywhere"].factor == 8
    for changes, message in (
        ({"factor": None}, "factor: found none with `model: general`"),
        ({"factor": 7}, "applications.anywhere.factor: found 7, expected 2, 3, 4, 5, 8"),
        ({"model": "a/folder"}, "a trained model knows its factor"),
        ({"predictors": [rain, rain | {"variable": "tas"}]}, "found 2 with `model: general`, expected one"),
        ({"adjust": "delta", "reference": {"years": [2001], "predictors": [rain]}}, "have no climate to which"),
    ):
        raw["applications"] = {"anywhere": {k: v for k, v in (entry | changes).items() if v is not None}}
        assert message in faults(raw)
    raw["applications"] = {"anywhere": {"experiment": "general", "years": [2001]}}
    assert "write `model: general` and `factor: 8`" in faults(raw)
