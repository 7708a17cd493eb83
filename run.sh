#!/usr/bin/env bash
# Sets rainshaft up in .venv (once) and runs it. Needs bash, Python 3.11 to 3.13 and, the first time, the network.
set -euo pipefail
started=$PWD # paths that the user gives are counted from here
CDPATH="" cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"

usage='./run.sh init FILES    look at your files, folders or patterns and write my.yaml, a configuration that runs
./run.sh check CONFIG  say in seconds what it will do and cost, and name all problems at once
./run.sh run CONFIG [ARGS]   train, sample, evaluate and compare with it; ARGS go to snakemake (for example -n)
./run.sh demo [ARGS]   make rain, train, sample, evaluate, compare; ARGS go to snakemake (for example -n)
./run.sh test [ARGS]   lint, types and tests; ARGS go to pytest (for example -k loss)
./run.sh docs          build the documentation into site/, strictly
./run.sh setup         only the first step of the others: install into .venv (a minute; nothing if it is there)
./run.sh help          this text

  PYTHON=/path/to/python3.11   the Python to use
  TORCH="torch==..."           what pip installs as PyTorch, options such as --index-url may follow; remembered
  RAINSHAFT_DATA=/path         the folder with your data; ./data if unset'

die() {
    printf 'run.sh: %s\n' "$@" >&2
    exit 1
}

# ---------------------------------------------------------------------------------------------------------- set-up
first_import='import importlib, pkgutil, rainshaft, snakemake.cli, snakemake_executor_plugin_slurm
for module in pkgutil.walk_packages(rainshaft.__path__, "rainshaft."):
    importlib.import_module(module.name)'
log=.venv/setup.log
builder="" # the process that builds pysteps
lock_folder=""

find_python() { # sets `python` to the first one of a supported version
    local name version found="" names=(python3.11 python3.12 python3.13 python3)
    [ -z "${PYTHON:-}" ] || names=("$PYTHON")
    for name in "${names[@]}"; do
        version=$("$name" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue
        case $version in 3.11.* | 3.12.* | 3.13.*) python=$name && return ;; esac
        found+=" $name is $version;"
    done
    die "rainshaft needs Python 3.11, 3.12 or 3.13;${found:- ${names[*]}: none of them runs;}" \
        "install one (on a cluster: module load python) or say where it is: PYTHON=/path/to/python3.11 ./run.sh ..."
}

stamp() { # a number for all that .venv was made from
    { declare -f install install_lock leave_site_out && echo "$torch" && cat requirements* pyproject.toml && "${PYTHON:-.venv/bin/python}" -V; } 2>&1 | cksum
}

is_set_up() {
    torch=${TORCH:-$(cat .venv/torch 2>/dev/null || true)}
    [ "$(cat .venv/stamp 2>/dev/null)" = "$(stamp)" ]
}

step() { # step WORDS COMMAND...: prints one line with the seconds; on failure the end of the log and its likely cause
    local words=$1 start=$SECONDS reason="the end of the log is above"
    shift
    if "$@" >>"$log" 2>&1; then
        printf '  %-36s %4d s\n' "$words" $((SECONDS - start))
        return
    fi
    tail -n 15 "$log" | sed 's/^/  | /' >&2
    case $(tail -n 40 "$log") in
        *"No space left"* | *"Errno 28"* | *"os error 28"*) reason="the disk is full" ;;
        *ensurepip*) reason="this Python has no venv (Debian, Ubuntu: apt install python3-venv)" ;;
        *"DO NOT MATCH THE HASHES"* | *"ash mismatch"*) reason="a download differs from the lock: is pip's index a true mirror?" ;;
        *onnection* | *"name resolution"* | *"timed out"* | *unreachable* | *"dns error"* | *"o matching distribution"*)
            reason="the download failed: check the network, the proxy and pip's index" ;;
    esac
    die "$words failed: $reason" "the whole log is $PWD/$log; run it again to go on, what was downloaded is kept"
}

pip_install() { .venv/bin/python -m pip install --no-compile "$@"; }

find_uv() { # uv installs much faster than pip; takes yours or the one of the lock, and does without if there is none
    uv=$(command -v uv) && return
    awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock >.venv/uv.lock
    if pip_install --no-deps --require-hashes -r .venv/uv.lock; then uv=.venv/bin/uv; fi
}

install_lock() { # install_lock FILE [OPTIONS]
    if [ -z "$uv" ] || ! "$uv" pip install --python .venv/bin/python --require-hashes -r "$@"; then
        pip_install --require-hashes -r "$@"
    fi
}

leave_site_out() { # module systems put the packages of another Python into PYTHONPATH, where they would hide those of .venv
    cat >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/leave-site-out.pth" <<'EOF'
import os, sys; sys.path[:] = [p for p in sys.path if p not in os.environ.get("PYTHONPATH", "").split(os.pathsep) or not os.path.isdir(os.path.join(p, "numpy"))]
EOF
}

install() {
    local python uv="" free
    find_python
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge 3 ] || die "set-up needs 3 GB in $PWD, and $free GB are free: make room or move to another disk"
    [ ! -e .venv ] || [ -e "$log" ] || [ -z "$(ls -A .venv)" ] || die ".venv was not made by run.sh: move it away first"
    echo "setting up in .venv"
    mkdir -p .venv
    find .venv/ -mindepth 1 ! -path .venv/setup.log -delete # a half-made environment looks like a whole one
    date >"$log"
    echo "$torch" >.venv/torch
    step "virtual environment" "$python" -m venv .venv
    find_uv >>"$log" 2>&1
    step "requirements.lock" install_lock requirements.lock
    if command -v cc >/dev/null; then # pysteps is built while torch is unpacked
        install_lock requirements-rainfarm.lock --no-deps >.venv/rainfarm.log 2>&1 &
        builder=$!
    fi
    # options may follow the name of torch, so it is not quoted
    # shellcheck disable=SC2086
    step "PyTorch" pip_install ${torch:-$(cat requirements-torch.txt)}
    if [ -z "$builder" ]; then
        echo "  no C compiler (cc): RainFARM is left out of the comparison"
    elif wait "$builder"; then
        echo "  pysteps, for RainFARM"
    else
        echo "  pysteps could not be built (see .venv/rainfarm.log): RainFARM is left out of the comparison"
    fi
    builder=""
    step "rainshaft itself" pip_install --no-deps --no-build-isolation --editable .
    leave_site_out
    # Keep the bytecode, also where the site switches that off. Without it every job would compile all that it imports.
    step "first import" env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c "$first_import"
}

lock() { # lets one set-up work at a time
    local words="waiting for another set-up in this folder"
    local status=2
    if command -v flock >/dev/null; then
        exec 9>>.venv.lock
        flock -n 9 2>/dev/null && return || status=$?
    fi
    if [ "$status" = 1 ]; then
        echo "$words" && flock 9
    else # no flock, or a file system without locks
        until mkdir .venv.lock.d 2>/dev/null; do
            [ -z "$words" ] || echo "$words (if there is none: rmdir .venv.lock.d)"
            words="" && sleep 1
        done
        lock_folder=.venv.lock.d
    fi
}

unlock() {
    [ -z "$builder" ] || kill "$builder" 2>/dev/null || true
    [ -z "$lock_folder" ] || rmdir "$lock_folder"
    lock_folder=""
    exec 9>&-
}

setup() {
    case $PWD in
        *[[:space:]\[\]\{\}\(\)\<\>\'\"\\\$\&\;\|\*\?\`:]*)
            die "rainshaft cannot work in $PWD" "move the clone to a path of letters, digits and . _ - + only" ;;
    esac
    unset PYTHONPATH PYTHONHOME # a module system may put packages there that would hide those of .venv
    export PYTHONNOUSERSITE=1 PYTHONUTF8=1 PATH="$PWD/.venv/bin:$PATH"
    if is_set_up; then return; fi
    trap unlock EXIT
    lock
    if ! is_set_up; then # while it waited, another run.sh may have done it
        install
        stamp >.venv/stamp
    fi
    unlock
    trap - EXIT
}

# ------------------------------------------------------------------------------------------------------------ words
results_of() { # prints the results folder of the configuration that snakemake gets with these arguments
    python rainshaft/config/yamlfile.py --results "$@"
}

demo() {
    case " $*" in *" -n"* | *" --dry-run"* | *" --dryrun"*) exec snakemake --cores all "$@" ;; esac
    snakemake --quiet host reason progress --cores all "$@"
    local results comparison report
    results=$(results_of "$@") comparison=$results/comparison report=$results/report.html
    [ -e "$comparison/table.md" ] || return 0 # the arguments asked for a part only
    if [ ! -e "$report" ] || [ -n "$(find "$results" \( -name '*.png' -o -name table.md \) -newer "$report" -print -quit)" ]; then
        snakemake --quiet all --report "$report" "$@"
    fi
    echo
    cat "$comparison/console.txt"
    printf '\nfigures     %s\nmodels      %s\ncomparison  %s\nreport      %s\nprovenance  %s\n' "$results/*/visualizations/" "$results/*/model/" "$comparison/" "$comparison/report.html" "$report"
}

survey() { # survey WORD ARGS: the command `rainshaft` in the folder of the user
    cd "$started" && exec rainshaft "$@"
}

run() { # run CONFIG ARGS: the workflow with a configuration of the user
    [ $# -gt 0 ] || die "run needs a configuration" "$usage"
    local config=$1
    shift
    case $config in /*) ;; *) config=$started/$config ;; esac
    [ -e "$config" ] || die "there is no configuration $config: ./run.sh init FILES writes one"
    demo --configfile "$config" "$@"
}

check() { # check WORDS COMMAND...: prints one line, and the output only if the command fails
    local words=$1 start=$SECONDS output
    shift
    output=$("$@" 2>&1) || die "$words failed" "$output"
    printf '%-16s %4d s\n' "$words" $((SECONDS - start))
}

documentation() { # not --quiet, which hides the warnings that --strict counts
    NO_MKDOCS_2_WARNING=1 mkdocs build --strict "$@"
}

tests() {
    check "ruff check" ruff check .
    check "ruff format" ruff format --check .
    check "mypy" mypy
    check "docs" documentation --site-dir "$(mktemp -d)"
    check "snakefmt" snakefmt --check Snakefile workflow
    check "snakemake --lint" snakemake --lint
    if [ $# -gt 0 ]; then exec python -m pytest "$@"; fi
    # Tests run side by side, each process with one thread: more would slow each other down. Those of the workflow often
    # wait, so there is one process more than most machines for tests have cores. Those of Slurm wait most, so they start
    # first.
    export OMP_NUM_THREADS=1
    python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal tests/unit
    exec python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder tests/slurm tests/workflow tests/real
}

word=${1:-help}
shift || true
case $word in
    init | check | run | demo | test | docs | setup) setup ;; # not `setup && ...`, which would switch `set -e` off inside
    help | -h | --help) echo "$usage" ;;
    *) die "unknown word '$word'" "$usage" ;;
esac
case $word in
    init | check) survey "$word" "$@" ;;
    run) run "$@" ;;
    demo) demo "$@" ;;
    test) tests "$@" ;;
    docs) documentation "$@" ;;
esac
