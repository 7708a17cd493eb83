"""The command `rainshaft`."""

import pytest

from rainshaft import __version__
from rainshaft.cli import main
from rainshaft.config.reference import reference


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "config" in capsys.readouterr().out


def test_config_prints_the_reference(capsys):
    assert main(["config"]) == 0
    assert capsys.readouterr().out == reference()


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"rainshaft {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["confg"]])
def test_without_a_command_that_exists_it_says_how_to_call_it(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: rainshaft" in capsys.readouterr().err
