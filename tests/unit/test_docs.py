"""What README.md shows can be used as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from rainshaft.baselines.table import names
from rainshaft.config.load import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DEMO = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def test_yaml_examples_are_valid_configurations() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    assert blocks
    for block in blocks:
        load({"datasets": DEMO["datasets"]} | block, names())


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "docs/slurm.md", "docs/ablation.md", "docs/skill.md"])
def test_links_lead_to_files(file: str) -> None:
    path = ROOT / file
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def test_words_for_run_sh_exist() -> None:
    script = (ROOT / "run.sh").read_text()
    words = set(re.findall(r"\./run\.sh (\w+)", README))
    assert {"demo", "test"} <= words
    assert all(re.search(rf"^\s+(\w+ \| )*{word}( \| [\w-]+)*\)", script, re.MULTILINE) for word in words)
