"""What a frozen slice holds, and what a fingerprint of code sees."""

import json
from pathlib import Path

import pytest
import yaml

from rainshaft.baselines.table import names
from rainshaft.config.load import load
from rainshaft.jobs import stages

DEMO = Path(__file__).resolve().parents[2] / "config/config.yaml"


@pytest.fixture
def demo():
    return load(yaml.safe_load(DEMO.read_text()))


def test_a_slice_holds_what_its_stage_needs_and_no_more(demo):
    train = json.loads(stages.experiment_slice(demo, "calibrated", "train"))
    assert set(train["config"]) == {"seed", "model", "loss", "train"}
    forecast = json.loads(stages.experiment_slice(demo, "calibrated", "sample"))
    drawing = {"seed", "temperature", "batch_size", "tile", "device"}
    assert set(forecast["config"]) == {*drawing, "K", "days"}
    raw = yaml.safe_load(DEMO.read_text())
    raw["sampling"] = raw.get("sampling", {}) | {"mode": "both"}
    augment = json.loads(stages.experiment_slice(load(raw, names()), "calibrated", "sample"))
    assert set(augment["config"]) == {*drawing, "posterior_scales", "K", "days", "min_threshold"}
    tradeoff = json.loads(stages.experiment_slice(demo, "calibrated", "tradeoff"))
    assert set(tradeoff["config"]) == {*drawing, "posterior_scales", "wet_threshold"}
    threshold = json.loads(stages.experiment_slice(demo, "calibrated", "threshold"))
    assert threshold["config"] == {"pixel_threshold": 0.1, "wet_threshold": None}


def test_replicates_train_and_sample_with_seeds_of_their_own_and_are_judged_alike():
    raw = yaml.safe_load(DEMO.read_text()) | {"seed": 5}
    once, thrice = load(raw, names()), load(raw | {"replicates": 3}, names())
    for stage in ("train", "sample", "threshold", "augment", "tradeoff", "srdrn", "evaluate", "plot"):
        before = stages.experiment_slice(once, "calibrated", stage)
        first, second, _ = (stages.experiment_slice(thrice, f"calibrated-s{i}", stage) for i in (1, 2, 3))
        assert first == before, "the first replicate is the experiment itself"
        if stage in ("train", "sample", "tradeoff"):
            assert [json.loads(text)["config"]["seed"] for text in (first, second)] == [5, 6]
            assert second == before.replace('"seed": 5', '"seed": 6'), "and nothing else"
        else:
            assert second == before
    for stage in ("baselines", "evaluate"):
        assert stages.dataset_slice(thrice, "demo", stage) == stages.dataset_slice(once, "demo", stage)
        assert json.loads(stages.dataset_slice(thrice, "demo", stage))["config"]["seed"] == 5


def test_a_dataset_comes_back_from_its_slice_without_the_rest(demo, tmp_path):
    path = tmp_path / "prepare.json"
    path.write_text(stages.dataset_slice(demo, "demo", "prepare"))
    dataset = stages.read_dataset(path)
    assert dataset.rain == demo.datasets["demo"].rain
    assert dataset.predictors == demo.datasets["demo"].predictors
    with pytest.raises(AttributeError):
        _ = dataset.heavy_percentile  # a key that the slice does not freeze, so no job may read it


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of three modules: a imports b, and config."""
    imports = "from rainshaft.b import x\nfrom rainshaft import config\n"
    (tmp_path / "a.py").write_text(f'"""Doc."""\n{imports}\n\ndef f():\n    """Doc."""\n    return x\n')
    (tmp_path / "b.py").write_text("x = 1\n")
    (tmp_path / "config.py").write_text("y = 1\n")
    monkeypatch.setattr(stages, "LIBRARY", tmp_path)
    return tmp_path


def fingerprint():
    return stages.code_fingerprint("a")


def test_comments_layout_and_docstrings_leave_a_fingerprint_alone(library):
    before = fingerprint()
    text = (library / "a.py").read_text()
    (library / "a.py").write_text("# comment\n" + text.replace("Doc.", "Other.").replace("return x", "return (x)  # y"))
    assert fingerprint() == before


@pytest.mark.parametrize(("module", "old", "new"), [("a", "return x", "return 2 * x"), ("b", "1", "2")])
def test_a_change_of_meaning_here_or_in_an_import_is_seen(library, module, old, new):
    before = fingerprint()
    path = library / f"{module}.py"
    path.write_text(path.read_text().replace(old, new))
    assert fingerprint() != before


def test_modules_without_science_are_left_out(library):
    before = fingerprint()
    (library / "config.py").write_text("y = 2\n")
    assert fingerprint() == before


def test_every_stage_names_modules_that_exist():
    for modules in stages.MODULES.values():
        assert stages.code_fingerprint(*modules)


def test_the_code_of_every_figure_counts():
    assert set(stages.MODULES["plot"]) == {path.stem for path in stages.LIBRARY.glob("plot_*.py")}
