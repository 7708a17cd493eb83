"""The notebook and the Python examples of the documentation run on the results of the tiny workflow."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from project import REPOSITORY, Project, environment

DOCS = REPOSITORY / "docs"


def test_the_notebook_runs_and_scores_a_day(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAINSHAFT_RESULTS", str(finished.results))
    notebook = nbformat.read(DOCS / "start/look_at_members.ipynb", as_version=4)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(REPOSITORY)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 2
    printed = "".join(output.get("text", "") for output in outputs)
    scores = [float(score) for score in re.findall(r"fair CRPS of \S+(?: members)? +([\d.]+) mm/day", printed)]
    assert len(scores) == 2
    assert all(score > 0 for score in scores)


@pytest.mark.parametrize("page", ["start/tutorial.md", "reference/api/index.md"])
def test_python_examples_run(page: str, finished: Project, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(finished.results)
    examples = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        code = example.replace("results/data/demo", "results/data/tiny").replace('"data/demo', '"data/tiny')
        assert "tiny" in code
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment() | {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "agg"},
            capture_output=True,
            timeout=120,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
