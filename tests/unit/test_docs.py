"""What README.md and the documentation show can be used as it stands. `./run.sh docs` checks the links of the site."""

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from rainshaft.baselines.table import names
from rainshaft.config.load import load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "history" not in path.parts)]
DEMO = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
MOST_LINES = 130  # of README.md: longer ones are not read


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(path), re.DOTALL)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=relative)
def test_yaml_examples_are_valid_configurations(page: Path) -> None:
    for block in blocks(page, "yaml"):
        load({"datasets": DEMO["datasets"], "experiments": DEMO["experiments"]} | yaml.safe_load(block), names())


def test_the_readme_has_an_example_of_a_configuration() -> None:
    assert blocks(ROOT / "README.md", "yaml")


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(file: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text_of(ROOT / file))
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_words_for_run_sh_exist() -> None:
    shown = {word for page in PAGES for word in re.findall(r"\./run\.sh (\w+)", text_of(page))}
    assert shown
    help_text = subprocess.run(
        ["bash", "run.sh", "help"], cwd=ROOT, capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert not [word for word in shown if f"./run.sh {word}" not in help_text]


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags name Python objects that are of no concern here."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def leaves(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [leaf for part in (entry.values() if isinstance(entry, dict) else entry) for leaf in leaves(part)]


def test_every_page_is_in_the_navigation_once() -> None:
    listed = leaves(yaml.load(text_of(ROOT / "mkdocs.yml"), _Loader)["nav"])
    written = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")]
    assert sorted(listed) == sorted(written)


@pytest.fixture(scope="module")
def make_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", DOCS / "evidence/make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(tmp_path: Path, make_tables: ModuleType) -> Path:
    """The comparison of an experiment with two replicates and of a baseline, with made-up numbers."""
    ends = [f"{key}_{end}" for key in ("fair_crps", "crps_change") for end in ("low", "high")]
    header = ["dataset", "part", "days", "number_of_days", "name", "replicate", "mode", "against"]
    header += [*make_tables.COLUMNS, *ends]

    def row(name: str, days: str = "all_days", part: str = "test", **values: Any) -> str:
        known = {
            "dataset": "rain",
            "part": part,
            "days": days,
            "name": name,
            "number_of_days": 12,
            "against": "fragments",
        }
        return ",".join(str((known | values).get(column, "")) for column in header)

    sure, open_ = {"crps_change_low": -45, "crps_change_high": -30}, {"crps_change_low": -4, "crps_change_high": 1}
    rows = [
        row("fragments", mode="baseline", fair_crps=2.0, crps_change=0.0),
        row("mine", mode="prior", fair_crps=1.25, fair_crps_low=1, fair_crps_high=1.5, crps_change=-37.5, **sure),
        row("mine", mode="prior", replicate=1, fair_crps=1.2, crps_change=-40.0),
        row("tie", mode="prior", fair_crps=1.9, crps_change=-1.5, **open_),
        row("mine", "heavy_days", mode="prior", fair_crps=7.0),
        row("mine", part="validation", mode="prior", fair_crps=9.0),
    ]
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison/table.csv").write_text("\n".join([",".join(header), *rows]), encoding="utf-8")
    os.utime(tmp_path / "comparison/table.csv", (0, 86400))  # the second day of 1970
    return tmp_path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page that wants the table, in a folder of its own."""
    path = tmp_path / "pages/deep/page.md"
    path.parent.mkdir(parents=True)
    path.write_text("Before.\n\n<!-- table of rain -->\nold\n<!-- end of table -->\n\nAfter.\n", encoding="utf-8")
    return path


def test_one_table_has_each_experiment_beside_the_strongest_baseline_of_its_dataset(
    results: Path, page: Path, make_tables: ModuleType
) -> None:
    page.write_text("<!-- table of all datasets -->\n<!-- end of table -->\n", encoding="utf-8")
    make_tables.main([str(results), "--commit", "abc1234", "--pages", str(page.parents[1])])
    assert "| **" not in text_of(page), "a single folder leaves the table of several as it is"
    make_tables.main([str(results), str(results), "--commit", "abc1234", "--pages", str(page.parents[1])])
    rows = [line for line in text_of(page).splitlines() if line.startswith("| **")]
    assert rows[:3] == rows[3:]
    assert [row.split("|")[1:6] for row in rows[:3]] == [
        [" **rain**: fragments, the strongest simple method ", " – ", " – ", " 2.00 ", " – "],
        [" **rain**: mine ", " 9.00 ", " – ", " 1.25 [1.00, 1.50] ", " -37.5 [-45.0, -30.0] "],
        [" **rain**: tie ", " – ", " – ", " 1.90 ", " ≈ -1.5 [-4.0, +1.0] "],
    ]


def test_a_table_has_means_over_replicates_and_says_where_it_is_from(
    results: Path, page: Path, make_tables: ModuleType
) -> None:
    for _ in range(2):  # the second time it replaces what is there
        make_tables.main([str(results), "--commit", "abc1234", "--machine", "a desk", "--pages", str(page.parents[1])])
    lines = text_of(page).splitlines()
    assert (lines[0], lines[-1]) == ("Before.", "After.")
    assert "old" not in lines
    assert len([line for line in lines if line.startswith("| mine |")]) == 1
    assert [line for line in lines if line.startswith("| mine | 1.25 [1.00, 1.50] | -37.5 [-45.0, -30.0] |")]
    assert [line for line in lines if line.startswith("| tie | 1.90 | ≈ -1.5 [-4.0, +1.0] |")]
    assert [line for line in lines if line.startswith("| fragments | 2.00 | – |")]
    assert any("against fragments, %" in line for line in lines)
    (caption,) = (line for line in lines if line.startswith("*"))
    assert caption.startswith("*rain: 12 test days")
    assert caption.endswith("Made at commit `abc1234` on 1970-01-02, a desk.*")


def test_a_table_names_the_commit_of_the_clone(results: Path, page: Path, make_tables: ModuleType) -> None:
    make_tables.main([str(results), "--pages", str(page.parents[1])])
    assert re.search(r"at commit `[0-9a-f]{7,}` on", text_of(page))


def test_every_table_of_scores_is_filled() -> None:
    for path in PAGES:
        for dataset, table in re.findall(
            r"<!-- table of (\S+) -->\n(.*?)<!-- end of table -->", text_of(path), re.DOTALL
        ):
            assert f"*{dataset}: " in table
            assert "Made at commit `" in table
