"""The command `rainshaft`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rainshaft import __version__
from rainshaft.config.reference import reference
from rainshaft.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        The words after `rainshaft`. If None, they come from the shell.

    Returns
    -------
    The exit status: 1 where the input cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="rainshaft",
        description="rainshaft turns coarse climate fields into ensembles of high-resolution rain. Snakemake runs the "
        "workflow: snakemake --cores all --configfile my.yaml",
    )
    parser.add_argument("--version", action="version", version=f"rainshaft {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    config = commands.add_parser(
        "config", help="print every key of the configuration with its range, default and meaning"
    )
    config.set_defaults(run=_config)
    init = commands.add_parser("init", help="look at files and write a configuration that runs")
    init.add_argument("files", nargs="+", metavar="FILES", help="files, folders, and patterns such as 'rain_*.nc'")
    init.add_argument("--output", type=Path, default=Path("my.yaml"), help="the configuration to write (%(default)s)")
    init.set_defaults(run=_init)
    check = commands.add_parser("check", help="say what a run will do and cost, and name all problems at once")
    check.add_argument("config", type=Path, metavar="CONFIG", help="the configuration")
    check.set_defaults(run=_check)
    describe = commands.add_parser("describe", help="check the folder of a trained model and print its card")
    describe.add_argument("model", type=Path, metavar="MODEL", help="the folder, results/EXPERIMENT/model")
    describe.set_defaults(run=_describe)
    downscale = commands.add_parser("downscale", help="draw rain with a trained model for days that nobody observed")
    downscale.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="the folder of the model, or `general` for the networks that come with the package and refine the coarse "
        "rain of any place",
    )
    downscale.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="files with the predictors")
    downscale.add_argument("output", type=Path, metavar="OUTPUT", help="the file to write, *.nc or *.zarr")
    downscale.add_argument("--members", type=int, default=10, help="members of each day (%(default)s)")
    downscale.add_argument("--seed", type=int, default=1, help="the seed of the members (%(default)s)")
    downscale.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="PREDICTOR=NAME",
        help="the name of the variable for a predictor, where both differ; may be given several times",
    )
    downscale.add_argument(
        "--factor", type=int, metavar="N", help="fine cells along a side of a coarse one, with `general`"
    )
    downscale.add_argument(
        "--units", metavar="UNITS", help="units of the rain where its files state none, with `general`"
    )
    downscale.add_argument(
        "--day",
        choices=["auto", "start", "end"],
        default="auto",
        help="where a stamp stands in its step, with `general` (%(default)s)",
    )
    downscale.add_argument("--picture", type=Path, metavar="PNG", help="also draw maps of a few days into this file")
    downscale.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="(%(default)s)")
    downscale.set_defaults(run=_downscale)
    evaluate = commands.add_parser("evaluate", help="score an ensemble of any model against observed rain")
    evaluate.add_argument("ensemble", metavar="ENSEMBLE", help="a file, a zarr store, or a pattern such as 'm_*.nc'")
    evaluate.add_argument("truth", metavar="TRUTH", help="the observed rain of the same days, on the same grid")
    evaluate.add_argument("--output", type=Path, metavar="FOLDER", help="write scores.json, scores_by_day.nc, table.md")
    evaluate.add_argument(
        "--factor", type=int, default=1, help="fine cells along a side of a coarse cell (%(default)s)"
    )
    evaluate.add_argument("--members-dim", metavar="NAME", help="the dimension of the members, if its name is unusual")
    for side, words in (("", "ensemble"), ("truth-", "observed rain")):
        evaluate.add_argument(f"--{side}variable", metavar="NAME", help=f"the variable of the {words}")
        evaluate.add_argument(
            f"--{side}units", metavar="UNITS", help=f"units of the {words}, where its files state none"
        )
        evaluate.add_argument(
            f"--{side}day",
            choices=["auto", "start", "end"],
            default="auto",
            help="where its stamps stand (%(default)s)",
        )
    evaluate.set_defaults(run=_evaluate)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


def _config(_: argparse.Namespace) -> int:
    print(reference(), end="")
    return 0


def _init(given: argparse.Namespace) -> int:
    from rainshaft.survey.init import init  # its imports take seconds, which the other commands need not wait for

    print(init(given.files, given.output))
    return 0


def _check(given: argparse.Namespace) -> int:
    from rainshaft.survey.report import check, problems_of

    report = check(given.config)
    print("\n".join(report.lines))
    print("\n".join(problems_of(report)), file=sys.stderr if report.problems else sys.stdout)
    return int(bool(report.problems))


def _describe(given: argparse.Namespace) -> int:
    from rainshaft.application.shell import describe

    print(describe(given.model), end="")
    return 0


def _downscale(given: argparse.Namespace) -> int:
    for name in ("members", "seed"):
        if getattr(given, name) < (name == "members"):
            raise UserError(f"--{name}: found {getattr(given, name)}, expected {1 if name == 'members' else 0} or more")
    if wrong := [pair for pair in given.variable if "=" not in pair]:
        raise UserError(f"--variable: found {wrong[0]!r}, expected PREDICTOR=NAME, for example tp=precipitation")
    names = dict(pair.split("=", 1) for pair in given.variable)
    if given.picture is not None and given.picture.suffix != ".png":
        raise UserError(
            f"--picture: found {given.picture}, expected a name that ends in .png; a PDF is written beside it"
        )
    is_general = str(given.model) == "general"
    if is_general and given.factor is None:
        raise UserError("--factor: found none, expected by how much to refine the rain, for example --factor 8")
    if given.picture is not None and not given.picture.absolute().parent.is_dir():
        raise UserError(f"--picture: found no folder {given.picture.parent}, expected one; make it first")
    if not is_general and (given.units is not None or given.day != "auto"):
        raise UserError("--units, --day: found one beside a trained model, expected it with `general`; remove it")
    if not is_general and given.factor is not None:
        raise UserError(f"--factor: found {given.factor}, but the model in {given.model} knows its factor; remove it")
    started = time.monotonic()
    drawing = (given.members, given.seed, names, given.device)
    if is_general:
        from rainshaft.application.general import downscale_rain

        written = downscale_rain(given.inputs, given.output, given.factor, *drawing, given.day, given.units)
    else:
        from rainshaft.application.shell import downscale_files

        written = downscale_files(given.model, given.inputs, given.output, *drawing)
    print(f"{written.words}\n{time.monotonic() - started:.0f} s")
    if given.picture is not None:
        from rainshaft.figures.maps import downscaled_maps

        downscaled_maps(written.output, written.coarse, written.grid_kind, given.picture)
        print(given.picture)
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    from rainshaft.evaluation.shell import Rain, evaluate_files

    if given.factor < 1:
        raise UserError(f"--factor: found {given.factor}, expected 1 or more")
    ensemble = Rain(given.ensemble, given.variable, given.units, given.day)
    truth = Rain(given.truth, given.truth_variable, given.truth_units, given.truth_day)
    scored = evaluate_files(ensemble, truth, given.output, given.factor, given.members_dim)
    print("\n".join(scored.notes), file=sys.stderr)
    print(scored.table, end="")
    return 0
