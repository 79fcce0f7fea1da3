import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from smot.generators import ShapesSettings, generate

SMOT = (sys.executable, "-m", "smot")
BROKEN = """
import sys
import click
from smot import cli

@click.command()
def broken():
    sum([1 / 0])

cli.broken = broken
cli.COMMANDS["broken"] = ("smot.cli:broken", "Fails.")
sys.argv[1:] = sys.argv[1:] or ["broken"]
cli.main()
"""

INTERRUPTED_LATE = """
import _thread, pathlib, sys, time
import click
from smot import __main__, cli

folder = pathlib.Path(sys.argv.pop())
(folder / "signals.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
sys.path.insert(0, str(folder))

@click.command()
def importing():
    import signals  # the interrupt is raised again a moment after this import

def reported(error, *, debug):
    code = report(error, debug=debug)
    while _thread._count():  # until it has been raised again
        time.sleep(0.001)
    return code

report, cli._report = cli._report, reported
cli.importing = importing
cli.COMMANDS["importing"] = ("smot.cli:importing", "Is interrupted.")
__main__.main()
"""

INTERRUPTED_IN_EXEC = """
import click
from smot import __main__, cli

@click.command()
def compiling():
    exec("raise KeyboardInterrupt")  # as numba and dataclasses make functions

cli.compiling = compiling
cli.COMMANDS["compiling"] = ("smot.cli:compiling", "Is interrupted.")
__main__.main()
"""

# The start of Python itself, before any of our code runs, is out of reach. Time is the process's
# own: on a busy machine the same moments come.
INTERRUPTED_AFTER = """
import atexit, signal, sys, time
from smot.__main__ import main

began = time.process_time()
if sys.argv[1] == "1000":
    atexit.register(lambda: print(time.process_time() - began, file=sys.stderr))
atexit.register(signal.setitimer, signal.ITIMER_VIRTUAL, 0)
signal.signal(signal.SIGVTALRM, lambda *_: signal.raise_signal(signal.SIGINT))
signal.setitimer(signal.ITIMER_VIRTUAL, float(sys.argv.pop(1)))
main()
"""


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    path = tmp_path / "snow-\N{SNOWMAN}.h5"
    settings = ShapesSettings(frame_size=(24, 24), n_frames=2, max_objects=2, object_size=8)
    generate(settings, None, seed=0, path=path, groups={"train": 1, "val": 1}, workers=1)
    return path


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="latin-1",
        timeout=120,
        env={**os.environ, **environment},
    )


def test_help_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from smot.cli import cli\n"
        "cli.main(standalone_mode=False)\n"
        "print(sorted({'torch', 'numpy', 'h5py', 'numba'} & set(sys.modules)))"
    )
    done = run(sys.executable, "-c", code)
    assert done.stdout.endswith("[]\n"), done.stderr


def test_an_unexpected_error_is_one_line() -> None:
    done = run(sys.executable, "-c", BROKEN)
    said = "smot: unexpected ZeroDivisionError: division by zero (--debug prints the traceback)\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("arguments", [("--debug", "broken"), ("broken", "--debug")])
def test_debug_prints_the_traceback_wherever_it_stands(arguments: tuple[str, str]) -> None:
    done = run(sys.executable, "-c", BROKEN, *arguments)
    assert done.returncode == 1
    assert "sum([1 / 0])" in done.stderr or "in broken" in done.stderr
    assert done.stderr.endswith("smot: unexpected ZeroDivisionError: division by zero\n")


def test_what_a_stream_cannot_print_is_replaced(videos: Path) -> None:
    done = run(*SMOT, "inspect", str(videos), PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "snow-?.h5" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
def test_a_reader_that_leaves_early_is_no_error(videos: Path) -> None:
    with subprocess.Popen(
        [*SMOT, "inspect", str(videos)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) in ((0, ""), (141, ""))


@pytest.mark.posix("sends signals to itself")
def test_an_interrupt_that_is_raised_again_is_reported_once(tmp_path: Path) -> None:
    done = run(sys.executable, "-c", INTERRUPTED_LATE, "importing", str(tmp_path))
    assert (done.returncode, done.stderr) == (130, "smot: interrupted\n")


def test_an_interrupt_inside_exec_ends_with_the_code_of_others(tmp_path: Path) -> None:
    (tmp_path / "in_exec.py").write_text(INTERRUPTED_IN_EXEC)
    places = os.pathsep.join([str(tmp_path), *sys.path])
    done = run(sys.executable, "-m", "in_exec", "compiling", PYTHONPATH=places)
    assert (done.returncode, done.stderr) == (130, "smot: interrupted\n")


@pytest.mark.posix("an interrupt after so many seconds of computing")
@pytest.mark.slow
def test_an_interrupt_at_any_moment_is_one_line(videos: Path) -> None:
    done = run(sys.executable, "-c", INTERRUPTED_AFTER, "1000", "inspect", str(videos))
    whole = float(done.stderr)
    moments = random.Random(0)
    n_interrupted = 0
    for _ in range(12):
        moment = str(moments.uniform(0.001, 0.9) * whole)
        done = run(sys.executable, "-c", INTERRUPTED_AFTER, moment, "inspect", str(videos))
        if done.returncode == 130:
            assert done.stderr == "smot: interrupted\n"
            n_interrupted += 1
        else:
            assert (done.returncode, done.stderr) == (0, "")
    assert n_interrupted >= 4


def test_names_of_commands_complete_in_a_shell() -> None:
    asked = {"_SMOT_COMPLETE": "bash_complete", "COMP_WORDS": "smot we", "COMP_CWORD": "1"}
    done = subprocess.run(SMOT, env={**os.environ, **asked}, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("plain,weights\n", "", 0)
