import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from smot.errors import DataError, UsageError
from smot.interruption import catch_signals
from smot.training.distributed import joined_group, run_in_processes

pytestmark = pytest.mark.slow  # each test starts processes

PATIENCE = 120  # seconds; a busy machine may need a minute to start the processes


def place() -> tuple[str, ...]:
    return tuple(os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))


def fails(error: Exception) -> int:
    """Process 1 fails while process 0 waits for it."""
    with joined_group("cpu") as group:
        if group.rank == 1:
            raise error
        return len(group.gathered(0))


def fails_before_others_joined(error: Exception) -> None:
    """Process 1 fails, and process 0 finds it gone when it wants to join it."""
    if os.environ["RANK"] == "1":
        raise error
    raise UsageError("cannot join the 2 processes of the run: Gloo connectFullMesh failed")


def dies() -> None:
    """Process 1 dies, and process 0 loses its connection to it."""
    if os.environ["RANK"] == "1":
        os._exit(3)
    raise RuntimeError("[/gloo/transport/tcp/pair.cc] Connection closed by peer")


class UnpicklableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def fails_oddly() -> None:
    if os.environ["RANK"] == "1":
        raise UnpicklableError("odd", "error")


def waits(folder: Path, stubborn: bool) -> None:
    """Say that this process has begun, then work until a signal comes (and stubbornly on)."""
    with catch_signals(deferred=True) as interruption:
        (folder / str(os.environ["RANK"])).touch()
        while not interruption.requested:
            time.sleep(0.01)
        (folder / f"noted-{os.environ['RANK']}").touch()
        while stubborn:
            time.sleep(0.01)
        (folder / f"saved-{os.environ['RANK']}").touch()
        interruption.check()


def wait_for(*paths: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, paths
        time.sleep(0.02)


def signal_when(folder: Path, n_signals: int) -> None:
    wait_for(folder / "0", folder / "1")
    for _ in range(n_signals):
        os.kill(os.getpid(), signal.SIGINT)
        # Two signals at the same moment would count as one.
        wait_for(folder / "noted-0", folder / "noted-1")


def test_the_first_process_answers_for_all() -> None:
    assert run_in_processes(place, 2) == ("0", "0", "2")


def test_what_one_process_raises_ends_all_and_is_raised() -> None:
    with pytest.raises(UsageError, match="no such thing") as caught:
        run_in_processes(partial(fails, UsageError("no such thing")), 2)
    assert "in process 1" in caught.value.__notes__[0]


def test_a_process_that_fails_before_others_joined_it_is_the_one_that_is_named() -> None:
    with pytest.raises(UsageError, match="no such thing"):
        run_in_processes(partial(fails_before_others_joined, UsageError("no such thing")), 2)
    never_met = UsageError("cannot join the 2 processes of the run: connection refused")
    with pytest.raises(UsageError, match="cannot join the 2 processes"):
        run_in_processes(partial(fails_before_others_joined, never_met), 2)


def test_an_error_that_cannot_be_pickled_keeps_its_text() -> None:
    with pytest.raises(RuntimeError, match=r"UnpicklableError.*odd"):
        run_in_processes(fails_oddly, 2)


def test_a_process_that_dies_without_a_word_is_named_by_its_exit_code() -> None:
    with pytest.raises(DataError, match=r"a process of the run ended \(exit codes \[1, 3\]\)"):
        run_in_processes(dies, 2)


@pytest.mark.posix("signals stop processes")
def test_the_first_signal_lets_all_processes_finish(tmp_path: Path) -> None:
    sender = threading.Thread(target=signal_when, args=(tmp_path, 1))
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        run_in_processes(partial(waits, tmp_path, False), 2)
    sender.join()
    assert (tmp_path / "saved-0").exists()
    assert (tmp_path / "saved-1").exists()


@pytest.mark.posix("signals stop processes")
def test_the_second_signal_kills_processes_that_go_on(tmp_path: Path) -> None:
    sender = threading.Thread(target=signal_when, args=(tmp_path, 2))
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        run_in_processes(partial(waits, tmp_path, True), 2)
    sender.join()
    assert not (tmp_path / "saved-0").exists()


@pytest.mark.posix("signals stop processes")
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.7])
def test_a_signal_while_processes_start_ends_them(tmp_path: Path, delay: float) -> None:
    began = time.monotonic()
    with catch_signals(deferred=True):
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            run_in_processes(partial(waits, tmp_path, False), 2)
    assert time.monotonic() - began < PATIENCE
