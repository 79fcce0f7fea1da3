import importlib
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from smot.interruption import Interruption, catch_signals

DROPPED = """
import signal, sys, weakref
from smot.interruption import catch_signals

class Thing: pass

with catch_signals(deferred=sys.argv[1] == "deferred") as interruption:
    thing = Thing()
    watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    try:
        del thing  # an exception that the callback raises is dropped
        for _ in range(10**9):
            interruption.check() if sys.argv[1] == "deferred" else None
    except KeyboardInterrupt:
        print("noticed")
"""


@pytest.mark.posix("sends signals to itself")
@pytest.mark.parametrize("way", ["deferred", "at once"])
def test_an_interrupt_inside_a_callback_is_not_lost(way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED, way], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("noticed\n", "")


IMPORTING = """
import pathlib, signal, sys, time
from smot.interruption import catch_signals

folder = pathlib.Path(sys.argv[1])
(folder / "loaded.py").write_text("import signal; signal.raise_signal(signal.SIGINT); done = 1")
sys.path.insert(0, str(folder))
with catch_signals(deferred=False):
    try:
        import loaded
        print(loaded.done)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("noticed")
"""


@pytest.mark.posix("sends signals to itself")
def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("1\nnoticed\n", "")


@pytest.mark.posix("sends signals to itself")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_waits_and_the_second_does_not(name: str) -> None:
    signum = getattr(signal, name, None)
    if signum is None:
        pytest.skip("this system has no such signal")
    before = signal.getsignal(signum)

    def interrupted() -> None:
        with catch_signals(deferred=True) as interruption:
            signal.raise_signal(signum)
            assert interruption.requested
            signal.raise_signal(signum)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert signal.getsignal(signum) is before


@pytest.mark.posix("sends signals to itself")
def test_a_signal_counts_in_the_blocks_inside_and_outside() -> None:
    with catch_signals(deferred=True) as outer:
        signal.raise_signal(signal.SIGTERM)
        with catch_signals(deferred=True) as inner:
            assert inner.requested
    with catch_signals(deferred=True) as outer:
        with catch_signals(deferred=True):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            outer.check()


@pytest.mark.posix("sends signals to itself")
def test_a_signal_that_waits_for_an_import_counts_once(tmp_path: Path) -> None:
    (tmp_path / "loaded_once.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    deadline = time.monotonic() + 60
    with catch_signals(deferred=True):
        with catch_signals(deferred=False) as outer, pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            importlib.import_module("loaded_once")
            with catch_signals(deferred=True) as inner:
                while inner.repeats and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert inner.n_signals == 1
        assert outer.n_signals == 1


@pytest.mark.posix("sends signals to itself")
def test_hangups_stay_ignored_under_nohup() -> None:
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None:
        pytest.skip("this system has no such signal")
    before = signal.signal(hangup, signal.SIG_IGN)
    try:
        with catch_signals(deferred=True) as interruption:
            signal.raise_signal(hangup)
            assert not interruption.requested
    finally:
        signal.signal(hangup, before)


@pytest.mark.posix("sends signals to itself")
def test_other_threads_run_without_signals() -> None:
    seen: list[Interruption] = []

    def work() -> None:
        with catch_signals(deferred=True) as interruption:
            seen.append(interruption)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not seen[0].requested


def test_other_dropped_exceptions_are_shown_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    class Thing:
        pass

    def fail(_: object) -> None:
        raise ZeroDivisionError("in a callback")

    thing = Thing()
    with catch_signals(deferred=True):
        watched = weakref.ref(thing, fail)
        del thing
    assert watched() is None
    assert "ZeroDivisionError: in a callback" in capsys.readouterr().err
