"""The reference and the schema: complete, in step with the code, and right about the examples."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from rainshaft.baselines.table import names
from rainshaft.config.load import ConfigError, load
from rainshaft.config.messages import sections_in
from rainshaft.config.reference import README, SCHEMA, SECTIONS, reference, schema_yaml, write
from rainshaft.config.sections import Config
from rainshaft.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [*sorted((ROOT / "config").glob("*.yaml")), *(ROOT / ".test/config").glob("*.yaml")]


@pytest.fixture(scope="module")
def schema():
    schema = yaml.safe_load(schema_yaml())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def keys(section):
    """Every key of a section and of those in it, with its description."""
    for name, field in section.model_fields.items():
        inner = sections_in(field.annotation)
        yield f"{section.__name__}.{name}", field.description or (inner and inner[0].__doc__)
        for further in inner:
            yield from keys(further)


def plain(example):
    """An example as JSON has it: with text keys only and without the merge keys of YAML."""
    return yaml.safe_load(example.read_text(encoding="utf-8"))


def test_both_files_are_up_to_date():
    for path, text in ((README, reference()), (SCHEMA, schema_yaml())):
        assert (ROOT / path).read_text(encoding="utf-8") == text, "run `python -m rainshaft.config.reference`"


def test_writing_the_files_needs_a_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="found no folder config; change into a clone"):
        write()
    for path in (README, SCHEMA):
        path.parent.mkdir(parents=True)
    write()
    assert README.read_text(encoding="utf-8") == reference()
    assert SCHEMA.read_text(encoding="utf-8") == schema_yaml()


def test_every_key_has_a_meaning_in_sentences():
    for key, meaning in keys(Config):
        assert meaning, key
        assert meaning.strip()[-1] == ".", key
        assert "|" not in meaning, f"{key}: it would split the row of a table"


def test_every_section_has_a_table():
    def sections(section):
        yield section
        for field in section.model_fields.values():
            for inner in sections_in(field.annotation):
                yield from sections(inner)

    assert set(SECTIONS.values()) == set(sections(Config))


def test_every_row_of_the_tables_has_as_many_cells_as_its_heading():
    for row in re.findall(r"^\|.*\|$", reference().partition("## All keys")[2], re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", row)) == 5, row


def test_the_catalogue_can_show_the_reference():
    text = re.sub(r"```.*?```", "", reference(), flags=re.DOTALL)
    assert re.findall(r"^#+ .*", text, re.MULTILINE)[0] == "## Change these first"
    assert not re.findall(r"^# ", text, re.MULTILINE)


def test_the_examples_in_the_reference_are_valid(schema):
    first, shared = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", reference(), re.DOTALL))
    for example in (first, first | shared):
        schema.validate(example)
        assert set(load(example, names()).experiments) == set(example["experiments"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_schema_accepts_every_example(schema, path):
    schema.validate(plain(path))


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"loss": {"lamda_grad": 1.0}},
        {"train": {"epochs": 0}},
        {"train": {"device": "gpu"}},
        {"train": {"amp": "yes"}},
        {"sampling": {"days": "all"}},
        {"sampling": {"pixel_threshold": "some"}},
        {"experiments": {"My Run": {"dataset": "demo"}}},
        {"experiments": {"my-run": {"dataset": "demo", "loss": {"lamda_grad": 1.0}}}},
        {"datasets": {"demo": {"years": [2001]}}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_workflow_refuses(schema, change):
    raw = plain(ROOT / "config/config.yaml") | change
    with pytest.raises(ConfigError):
        load(raw, names())
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(raw)


def test_the_catalogue_finds_type_and_description_of_every_key_of_the_shared_sections(schema):
    def rows(properties):
        for name, details in properties.items():
            yield name, details
            yield from rows(details.get("properties", {}))

    listed = dict(rows(schema.schema["properties"]))
    assert {"lambda_grad", "epochs", "pixel_threshold", "fss_scales"} <= set(listed)
    for name, details in listed.items():
        assert details["type"], name
        assert details["description"], name
        assert "\n" not in details["description"], name
