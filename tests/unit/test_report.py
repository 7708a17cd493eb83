"""The report: it holds all that it shows, asks no host for anything, and has the numbers of the CSV file."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from entries import comparison, entry
from small_figures import SETTINGS

from rainshaft.evaluation import table
from rainshaft.evaluation.catalogue import score_of
from rainshaft.evaluation.rows import Comparison
from rainshaft.figures.style import saved_figure
from rainshaft.report.conclusions import Known
from rainshaft.report.page import TITLES, Shown, render, write_report

CAPTIONS = Path(__file__).parents[2] / "workflow/report"
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """What is in a page: its elements, its text, and its tables; it refuses elements that are not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[tuple[str, str]]]] = []
        self.text = ""
        self._open: list[str] = []
        self._cell: list[str] | None = None
        self._mark = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self._cell, self._mark = [], dict(attrs).get("class") or ""

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"{tag} is closed before what is in it"
        if tag in ("th", "td") and self._cell is not None:
            self.tables[-1][-1].append(("".join(self._cell).strip(), self._mark))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data
        if self._cell is not None:
            self._cell.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    narrow = entry("off", crps=1.7, spread_skill=0.5)
    found = narrow.content["validation"]["all_days"]["scores"]["spread_skill"]
    found["floor"] = {"value": 1.02, "low": 0.95, "high": 1.08}
    kinds = ("all_days", "heavy_days", "JJA")
    return comparison(
        entry("bilinear", "baseline", crps=2.0, spread_skill=None),
        entry("fragments", "baseline", crps=1.6),
        entry("mine", crps=1.4, kinds=kinds),
        entry("mine", "posterior", crps=0.5),
        narrow,
        entry("tie", crps=1.59, noise=0.1),
        entry("<other> & `co`", dataset="second"),
    )


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[Shown]:
    folder = tmp_path_factory.mktemp("figures")
    of = {
        "comparison_differences": {},
        "samples": {"experiment": "mine", "mode": "posterior"},
        "distribution": {"experiment": "mine", "mode": "prior"},
        "training": {"experiment": "mine"},
        "tradeoff": {"experiment": "mine"},
    }
    shown = []
    for name in TITLES:
        parts = [{"dataset": "demo", "part": part} for part in ("validation", "test")]
        for words in [of[name]] if name in of else parts:
            path = folder / f"{name}{''.join(words.values())}.png"
            with saved_figure(path, 1.0, 0.5, SETTINGS):
                pass
            shown.append(Shown(path, name, words))
    return shown


def captions() -> dict[str, str]:
    return {name: (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8") for name in TITLES}


def html_of(run: Comparison, figures: list[Shown], **known: Any) -> str:
    return render(run, Known(**known), figures, captions(), "2001-02-03")


@pytest.fixture(scope="module")
def page(compared: Comparison, figures: list[Shown]) -> Page:
    checks = [
        {"check": "bias < 0", "found": 0.2, "low": 0.1, "high": 0.3, "expected": "0", "passed": False, "advice": "`x`"},
        {"check": "fine", "found": 0.2, "low": None, "high": None, "expected": "0", "passed": True, "advice": ""},
    ]
    verdict = {"name": "mine", "mode": "prior", "note": "", "checks": checks}
    words = {"demo": "a <b>description</b> & more"}
    return Page(html_of(compared, figures, looks={"demo": 2}, verdicts=[verdict], descriptions=words))


def test_nothing_is_asked_of_any_host(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "video", "base")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
        if tag == "meta" and attributes.get("http-equiv"):
            assert "default-src 'none'" in str(attributes["content"])


def test_the_style_asks_for_nothing_either(compared: Comparison) -> None:
    style = re.findall(r"<style>(.*?)</style>", html_of(compared, []), re.DOTALL)
    assert len(style) == 1
    assert "url(" not in style[0]
    assert "@import" not in style[0]
    assert "&#" not in style[0], "not escaped"


def test_every_figure_is_inside_once_with_words_for_those_who_do_not_see_it(page: Page, figures: list[Shown]) -> None:
    images = page.all("img")
    inside = [base64.b64decode(str(image["src"]).split(",", 1)[1], validate=True) for image in images]
    assert sorted(inside) == sorted(one.path.read_bytes() for one in figures)
    assert len({image["alt"] for image in images}) == len(images)
    assert all(len(str(image["alt"])) > 20 for image in images)
    assert {(image["width"], image["height"]) for image in images} == {("60", "30")}
    assert str(images[0]["alt"]).startswith("Better or worse")
    assert "validation days" in str(images[1]["alt"]), "the picture of the first page"


def test_the_captions_are_those_of_the_snakemake_report_and_say_what_is_good(page: Page, figures: list[Shown]) -> None:
    assert page.text.count("Look for") == len(figures)
    assert "Validation days of mine, mode posterior" in page.text
    assert "That they resemble it is no skill" in page.text
    assert "over all test days" in page.text
    for left in ("{{", "{%", "**", "``"):
        assert left not in page.text


def test_every_part_can_be_reached(page: Page) -> None:
    targets = {str(link["href"])[1:] for link in page.all("a")}
    assert targets == {"tables", "verdict", "figures", "words"}
    assert targets <= {attributes.get("id") for _, attributes in page.elements}


def test_the_numbers_are_those_of_the_csv_file(page: Page, compared: Comparison) -> None:
    frame = table.frame(compared)
    everything = frame[(frame["days"] == "all_days") & (frame["name"] != "observed")]
    keys = {
        score_of(key).heading.format(wet_threshold=0.1): key
        for key in ("fair_crps", "spread_skill", "mass_bias", "wet_fraction", "wet_difference")
    }
    mains = [found for found in page.tables if [text for text, _ in found[0]][:2] == ["name", "mode"]]
    parts = [("demo", "validation"), ("second", "validation"), ("demo", "test"), ("second", "test")]
    for found, (dataset, part) in zip(mains, parts, strict=True):
        rows = everything[(everything["dataset"] == dataset) & (everything["part"] == part)]
        head = [text for text, _ in found[0]]
        assert len(found) == 2 + len(rows), "a head, and the observed rain"
        for line, (_, row) in zip(found[2:], rows.iterrows(), strict=True):
            cells = dict(zip(head, [text for text, _ in line], strict=True))
            assert cells["name"] == row["name"]
            for heading, key in keys.items():
                if pd.isna(row[key]):
                    assert cells[heading] == "–"
                else:
                    assert float(cells[heading].split()[0]) == pytest.approx(row[key], abs=0.51 * 10.0 ** -digits(key))
            if dataset == "demo" and row["name"] != "fragments":
                change = float(cells["against fragments %"].removeprefix("≈ ").split()[0])
                assert change == pytest.approx(row["crps_change"], abs=0.051)


def digits(key: str) -> int:
    return score_of(key).digits


def test_only_what_exceeds_the_uncertainty_is_marked(page: Page) -> None:
    found = page.tables[0]
    head = [text for text, _ in found[0]]
    marks = {
        (line[0][0], line[1][0], name): mark for line in found[1:] for name, (_, mark) in zip(head, line, strict=True)
    }
    against, seen = "against fragments %", "posterior: sees the truth, no skill"
    assert marks["mine", "prior", against] == "better"
    assert marks["off", "prior", against] == "worse"
    assert marks["tie", "prior", against] == ""
    assert marks["fragments", "baseline", against] == ""
    assert marks["mine", seen, against] == ""
    assert marks["off", "prior", "spread/skill"] == "outside"
    assert marks["tie", "prior", "spread/skill"] == "", "0.8 to 1.0 reaches into the band"
    assert marks["mine", seen, "mass bias %"] == ""
    assert marks["mine", "prior", "wet > 0.1 mm %"] == "outside"
    floors = next(found for found in page.tables if found[0][0][0] == "noise floor of")
    assert floors[1:] != []
    rows = [attributes.get("class") for tag, attributes in page.elements if tag == "tr"]
    assert rows.count("muted") == 4 + 2 + 3, "the truth of four tables, the posterior of two, three floors"


def test_words_of_the_user_are_no_html(page: Page, compared: Comparison, figures: list[Shown]) -> None:
    assert "a <b>description</b> & more" in page.text
    assert not page.all("b")
    assert "<other> &" in page.text


def test_a_verdict_is_told_with_its_failed_checks_alone(page: Page) -> None:
    assert "mine, prior: 1 of 2 checks passed" in page.text
    failed = next(found for found in page.tables if found[0][0][0] == "failed check")
    assert [text for text, _ in failed[1]] == ["bias < 0", "0.2 (90 % interval 0.1 to 0.3)", "0", "x"]
    assert len(failed) == 2


def test_kinds_of_days_have_their_table(page: Page) -> None:
    kinds = next(found for found in page.tables if found[0][0][0] == "days")
    assert [line[0][0] for line in kinds[1:]] == ["heavy", "JJA"]


def test_it_is_written_whole(tmp_path: Path, compared: Comparison) -> None:
    write_report(compared, Known(), [], captions(), "2001-02-03", tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "2001-02-03" in page.text
    assert "There is no verdict." in page.text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_one_experiment_alone_is_enough(figures: list[Shown]) -> None:
    page = Page(html_of(comparison(entry("mine", parts=("test",))), figures[:1]))
    assert "No simple method was compared" in page.text
    assert len(page.all("img")) == 1
