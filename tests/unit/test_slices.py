"""What a frozen slice holds: the keys of its stage and no others."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rainshaft.baselines.table import names
from rainshaft.config import slices
from rainshaft.config.load import load
from rainshaft.config.sections import Plots
from rainshaft.config.slices import dataset_slice, experiment_slice
from rainshaft.jobs.stages import canonical, digest, read_slice

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "config/config.yaml"
EXAMPLES = [*sorted((ROOT / "config").glob("*.yaml")), *(ROOT / ".test/config").glob("*.yaml")]

OF_DATASET = {
    "raw": slices.RawSettings,
    "prepare": slices.PrepareSettings,
    "normalisation": slices.NormalisationSettings,
    "baselines": slices.BaselineSettings,
    "evaluate": slices.EvaluateSettings,
    "plot": Plots,
}
OF_EXPERIMENT = {
    "train": slices.TrainSettings,
    "sample": slices.SampleSettings,
    "threshold": slices.ThresholdSettings,
    "tradeoff": slices.TradeoffSettings,
    "trial": slices.TrialSettings,
    "evaluate": slices.EvaluateSettings,
    "plot": Plots,
}


def configuration(path=DEMO, **changes):
    """An example configuration with sections replaced."""
    return load(yaml.safe_load(path.read_text(encoding="utf-8")) | changes, names())


def all_slices(config):
    """Every slice of a configuration with its class."""
    for name, dataset in config.datasets.items():
        for stage, settings in OF_DATASET.items():
            if stage != "raw" or dataset.synthetic:
                yield stage, settings, dataset_slice(config, name, stage)
    for name in config.general:
        yield "refine", slices.RefineSettings, experiment_slice(config, name, "refine")
    for name in config.trained:
        for stage, settings in OF_EXPERIMENT.items():
            yield stage, settings, experiment_slice(config, name, stage)


@pytest.mark.parametrize("mode", ["prior", "both"])
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_slice_of_every_example_comes_back_from_its_file(tmp_path, path, mode):
    for stage, settings, content in all_slices(configuration(path, sampling={"mode": mode})):
        file = tmp_path / f"{stage}.json"
        file.write_text(canonical(content), encoding="utf-8")
        found = read_slice(file, settings).model_dump(mode="json", exclude_unset=True)
        assert found == content


def test_a_slice_holds_every_key_of_its_class_and_no_other():
    for stage, settings, content in all_slices(configuration(sampling={"mode": "both"})):
        assert set(content) == set(settings.model_fields), stage


def test_the_prior_does_not_depend_on_what_only_the_posterior_uses():
    prior = experiment_slice(configuration(sampling={"mode": "prior"}), "calibrated", "sample")
    assert set(slices.SampleSettings.model_fields) - set(prior) == {"posterior_scales", "min_threshold"}
    edited = configuration(sampling={"mode": "prior", "posterior_scales": 2, "min_threshold": 0.5})
    assert experiment_slice(edited, "calibrated", "sample") == prior


def test_the_number_of_gpus_trains_nothing_anew():
    one, two = (experiment_slice(configuration(train={"gpus": gpus}), "calibrated", "train") for gpus in (1, 2))
    assert one == two
    assert "gpus" not in one["train"]


def test_a_new_seed_of_the_trial_trains_none_of_its_other_networks():
    three, five = (experiment_slice(configuration(augmentation={"seeds": n}), "calibrated", "trial") for n in (3, 5))
    assert three == five


def test_the_threshold_depends_on_the_wet_threshold_only_if_it_is_chosen_by_it():
    def threshold(pixel_threshold, wet_threshold):
        sampling, evaluation = {"pixel_threshold": pixel_threshold}, {"wet_threshold": wet_threshold}
        return experiment_slice(configuration(sampling=sampling, evaluation=evaluation), "calibrated", "threshold")

    assert threshold(0.3, 0.1) == threshold(0.3, 0.2) == {"pixel_threshold": 0.3, "wet_threshold": None}
    assert threshold("auto", 0.1) != threshold("auto", 0.2)


def test_drawing_takes_its_tile_from_sampling_and_its_device_from_training():
    config = configuration(sampling={"tile": 64}, train={"device": "cpu"})
    for stage in ("sample", "tradeoff"):
        content = experiment_slice(config, "calibrated", stage)
        assert content["tile"] == 64
        assert content["device"] == "cpu"


def test_replicates_train_and_draw_with_their_own_seeds_and_are_judged_alike():
    once, thrice = configuration(seed=5), configuration(seed=5, replicates=3)
    for stage in OF_EXPERIMENT:
        before = experiment_slice(once, "calibrated", stage)
        first, second, _ = (experiment_slice(thrice, f"calibrated-s{i}", stage) for i in (1, 2, 3))
        assert first == before, "the first replicate is the experiment itself"
        if stage in ("train", "sample", "tradeoff"):
            assert before["seed"] == 5
            assert second == before | {"seed": 6}
        else:
            assert second == before
    for stage in ("baselines", "evaluate"):
        assert dataset_slice(thrice, "demo", stage) == dataset_slice(once, "demo", stage)
        assert dataset_slice(thrice, "demo", stage)["seed"] == 5


def test_a_description_is_in_no_slice():
    described = configuration()
    for config in (described.datasets["demo"], described.experiments["calibrated"]):
        assert config.description
    assert not any("description" in content for _, _, content in all_slices(described))


def test_a_slice_with_a_key_too_few_or_too_many_is_refused(tmp_path):
    content = dataset_slice(configuration(), "demo", "prepare")
    few = {key: value for key, value in content.items() if key != "factor"}
    for wrong in (few, content | {"heavy_percentile": 90.0}):
        (tmp_path / "prepare.json").write_text(canonical(wrong), encoding="utf-8")
        with pytest.raises(ValidationError):
            read_slice(tmp_path / "prepare.json", slices.PrepareSettings)


def test_a_stage_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no stage is called 'trian'"):
        experiment_slice(configuration(), "calibrated", "trian")
    with pytest.raises(ValueError, match="no stage is called 'train'"):
        dataset_slice(configuration(), "demo", "train")


def test_equal_slices_are_equal_texts_whatever_the_order_of_their_keys():
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})


def test_a_digest_changes_with_every_text_and_with_the_border_between_them():
    assert digest("ab", "c") == digest("ab", "c")
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("ab", "d")}) == 4
