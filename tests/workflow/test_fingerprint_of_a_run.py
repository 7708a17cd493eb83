"""The fingerprint of a script covers what the script really imports and runs."""

import json

import pytest
from project import REPOSITORY

from rainshaft.jobs import fingerprint

SCRIPTS = REPOSITORY / "workflow/scripts"


@pytest.fixture(scope="module")
def records(finished):
    """What each script of the tiny workflow imported and ran."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (finished.folder.parent / "ran").glob("*.json")]
    assert {record["script"] for record in found} >= {"train_model", "sample_fields", "evaluate_ensemble"}
    return found


def covered(script):
    """Definitions that the fingerprint of a script counts; the method of a baseline is named apart."""
    methods = [f"rainshaft.baselines.methods.{name}" for name in ("bilinear", "quantile_mapping")]
    return fingerprint.closure(SCRIPTS / f"{script}.py", *(methods if script == "make_baseline" else []))


def counts(module):
    return not fingerprint._makes_no_results(module)


def test_every_function_that_a_run_calls_is_in_the_fingerprint(records):
    missing = set()
    for record in records:
        known = covered(record["script"])
        ran = {(module, name) for module, name in map(tuple, record["ran"]) if counts(module)}
        # a lambda of the module has no name; `__create_fn__` is what Python writes for a dataclass
        ran = {(module, name) for module, name in ran if not name.startswith(("<", "__"))}
        missing |= {(record["script"], *one) for one in ran - known}
    assert not missing


def test_every_module_that_a_run_imports_is_known_to_the_fingerprint(records):
    missing = set()
    for record in records:
        known = {module for module, _ in covered(record["script"])}
        missing |= {(record["script"], name) for name in record["modules"] if counts(name) and name not in known}
    assert not missing
