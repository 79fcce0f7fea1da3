import importlib
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import smot
from smot.errors import DataError, SmotError, UsageError
from smot.experiments import forecast
from smot.experiments.plans import Request, preset_plan, resolve, stored_plan
from smot.experiments.runs import Outcome, RunOptions, _opened, carry_out
from smot.experiments.training_data import (
    DATASETS,
    DataConfig,
    cached_batches,
    check_stage,
    dataset_of,
    open_source,
    training_batches,
)
from smot.experiments.validation import ValidationConfig, ValidationScore, validation_pictures
from smot.files import to_plain
from smot.generators import MnistSettings, ShapesSettings, generate, load_digits
from smot.models import packaged
from smot.models.checkpoints import (
    About,
    Checkpoint,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from smot.models.family import Latents, Objective, Stage
from smot.models.silot import FAMILY as SILOT
from smot.models.silot import Silot, SilotConfig
from smot.training import reporting
from smot.training.config import TrainConfig
from smot.training.distributed import Group
from smot.training.reporting import Progress
from smot.training.run_folder import RunFolder
from smot.training.state import TrainingState
from tests.training import toy as toys
from tests.training import with_toy
from tests.training.toy import FAMILY, Toy, ToyConfig
from tests.training.with_toy import VIDEOS as SMALL

TRAIN = TrainConfig(**toys.TRAIN)
VALIDATION = ValidationConfig(n_videos=5, batch_size=2)
TOY_DATA = DataConfig(dataset="toy", n_cached=8)
ALONE = Group()
DRAW_CURVES = RunFolder.draw_curves


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    with_toy.register(monkeypatch.setitem)
    # Drawing takes ten times as long as the toy's training.
    monkeypatch.setattr(RunFolder, "draw_curves", lambda *_, **__: None)


@pytest.fixture
def video_file(tmp_path: Path) -> Path:
    path = tmp_path / "videos.h5"
    generate(SMALL, None, seed=1, path=path, groups={"train": 7, "val": 3}, workers=1)
    return path


def run(
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
    group: Group = ALONE,
    **changes: Any,
) -> Outcome:
    plan = preset_plan("toy", "small", TOY_DATA)
    plan = replace(plan, train=replace(plan.train, **changes))
    options = RunOptions(out=str(out), resume=resume, force=force, quiet=quiet)
    return carry_out(plan, options, group)


def test_processes_divide_each_batch_and_nothing_else() -> None:
    source = open_source(TOY_DATA, 0)
    whole = training_batches(source, TRAIN, Group())(3, 4)
    halves = [training_batches(source, TRAIN, Group(rank=r, size=2))(3, 4) for r in range(2)]
    assert whole.shape == (4, 4, 24, 24, 3)
    assert torch.equal(torch.cat(halves), whole)
    assert not torch.equal(whole, training_batches(source, TRAIN, Group())(4, 4))


def test_shorter_clips_are_the_beginning_of_longer_ones() -> None:
    batches = training_batches(open_source(TOY_DATA, 0), TRAIN, Group())
    assert torch.equal(batches(0, 2), batches(0, 6)[:, :2])


def test_another_seed_trains_on_other_videos_and_validates_on_the_same() -> None:
    first, second = (open_source(TOY_DATA, seed) for seed in (0, 1))
    places = np.arange(4)
    assert not np.array_equal(first.frames(places, 2), second.frames(places, 2))
    assert np.array_equal(
        first.videos.read("val", 0, 3).frames, second.videos.read("val", 0, 3).frames
    )


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of the 3 processes, not 4"):
        training_batches(open_source(TOY_DATA, 0), TRAIN, Group(size=3))


def test_a_file_is_read_in_another_order_each_time_and_every_video_once(video_file: Path) -> None:
    source = open_source(replace(TOY_DATA, file=str(video_file)), seed=5)
    epochs = [source.frames(np.arange(7 * e, 7 * e + 7), 6) for e in range(2)]
    keys = [[video.tobytes() for video in epoch] for epoch in epochs]
    assert len(set(keys[0])) == 7
    assert set(keys[0]) == set(keys[1])
    assert keys[0] != keys[1]
    across = source.frames(np.arange(5, 9), 6)
    assert [video.tobytes() for video in across] == (keys[0] + keys[1])[5:9]
    assert [video.tobytes() for video in source.frames(np.arange(2), 6)] == keys[0][:2]


def test_a_files_preset_is_that_of_the_most_alike_data_set(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    groups = {"train": 1, "val": 1}
    generate(ShapesSettings(max_objects=7), None, seed=0, path=path, groups=groups, workers=1)
    assert dataset_of(str(path)) == "shapes-48"
    odd = ShapesSettings(frame_size=(32, 40), max_objects=2)
    generate(odd, None, seed=0, path=tmp_path / "b.h5", groups=groups, workers=1)
    with pytest.raises(UsageError, match="no preset for shapes of 32x40 pixels; name one"):
        dataset_of(str(tmp_path / "b.h5"))


@pytest.mark.parametrize(
    ("changes", "n_channels", "background"),
    [
        ({}, 1, (0, 0, 0)),
        ({"coloured": True}, 3, (0, 0, 0)),
        ({"background": (51, 51, 51)}, 1, (0.2, 0.2, 0.2)),
        ({"background": (0, 51, 255)}, 3, (0, 0.2, 1)),
    ],
)
def test_a_model_sees_the_colours_and_the_background_of_its_videos(
    tmp_path: Path,
    changes: dict[str, object],
    n_channels: int,
    background: tuple[float, float, float],
) -> None:
    path, groups = tmp_path / "a.h5", {"train": 1, "val": 1}
    settings = MnistSettings(max_objects=6, **changes)  # type: ignore[arg-type]
    generate(settings, load_digits("mnist-5k"), path, groups=groups, workers=1)
    request = Request(family="silot", out=str(tmp_path / "run"), data=str(path))
    model = resolve(request)[0].model
    assert (model.n_channels, model.background) == (n_channels, background)
    named = replace(request, data=None, assignments=(f"data.file={path}",))
    assert resolve(named)[0].model == model
    named = replace(request, assignments=("model.n_channels=3", "model.background=[1, 1, 1]"))
    assert resolve(named)[0].model == replace(model, n_channels=3, background=(1, 1, 1))


def test_a_model_for_videos_that_are_made_is_the_presets() -> None:
    for dataset in ("mnist-6", "shapes-48"):
        request = Request(family="silot", out="none", dataset=dataset)
        assert resolve(request)[0].model == SILOT.preset("fast", dataset).model


def test_a_file_without_training_videos_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    generate(SMALL, None, seed=0, path=path, groups={"val": 2}, workers=1)
    with pytest.raises(
        UsageError, match=r"training needs groups train and val; it holds val \(2\)"
    ):
        open_source(replace(TOY_DATA, file=str(path)), 0)


@pytest.mark.parametrize("score", ["mota", "mota+prior", "objective"])
def test_the_score_is_the_same_however_the_videos_are_divided(score: str) -> None:
    sent: dict[int, list[object]] = {0: [], 1: []}

    class Half(Group):
        """Process 1 comes first, and process 0 receives what it sent."""

        def gathered(self, value: object) -> list[object]:
            sent[self.rank].append(value)
            return [value] if self.rank else [value, sent[1][len(sent[0]) - 1]]

    source, module = open_source(TOY_DATA, 0), Toy(ToyConfig(), 0).eval()
    config = replace(VALIDATION, score=score)
    with torch.no_grad():
        whole = ValidationScore(FAMILY, source, config, Group())(module)
        ValidationScore(FAMILY, source, config, Half(rank=1, size=2))(module)
        halves = ValidationScore(FAMILY, source, config, Half(rank=0, size=2))(module)
    assert halves == pytest.approx(whole)


def test_the_objective_as_a_score_does_not_depend_on_what_training_drops() -> None:
    source = open_source(DataConfig(dataset="shapes-48"), 0)
    config = replace(VALIDATION, score="objective", n_videos=3)
    scores = []
    for dropped in (0.0, 1.0):
        model = replace(
            TINY, discovery_dropout=dropped, track_dropout=dropped, crop=int(24 * dropped)
        )
        score = ValidationScore(SILOT, source, config, Group())
        with torch.no_grad():
            scores.append(score(SILOT.build(model, 0).eval()))
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_prediction_counts_into_the_score_if_asked_for() -> None:
    source, module = open_source(TOY_DATA, 0), Toy(ToyConfig(), 0).eval()
    config = replace(VALIDATION, score="mota+prior")
    values = ValidationScore(FAMILY, source, config, Group())(module)
    assert values["score"] == values["mota"] + values["prior_mota"]
    assert values.keys() >= {"ap", "count_error"}


def test_the_score_by_count_is_the_mean_over_numbers_of_objects() -> None:
    source, module = open_source(TOY_DATA, 0), Toy(ToyConfig(), 0).eval()
    config = replace(VALIDATION, by_count=True)
    values = ValidationScore(FAMILY, source, config, Group())(module)
    videos = source.videos.read("val", 0, config.n_videos)
    found = FAMILY.tracker(module, "toy").track(videos.frames)
    motas = []
    for n in np.unique(videos.count[videos.count > 0]):
        some = np.flatnonzero(videos.count == n)
        motas.append(smot.score(videos.truth[some], found[some])["mota"])
    assert len(motas) > 1
    assert values["score"] == pytest.approx(np.mean(motas))
    assert values["score"] != pytest.approx(values["mota"])


def test_a_run_leaves_everything_that_says_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "draw_curves", DRAW_CURVES)
    run(tmp_path / "a")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"last.pt", "best.pt", "config.json", "env.json", "metrics.jsonl", "train.png"}
    _, about = load_model(tmp_path / "a" / "best.pt")
    assert about.data == SMALL.describe("")
    assert (about.family, about.recipe, about.score_name) == ("toy", "small", "mota")
    assert len(about.data_fingerprint) == 64
    assert (
        stored_plan(load_checkpoint(tmp_path / "a" / "last.pt"), "a").plain()
        == replace(preset_plan("toy", "small", TOY_DATA), n_processes=1).plain()
    )


def test_a_run_says_first_what_it_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecast, "SHORT_RUN", 1)
    monkeypatch.setattr(packaged, "FOLDER", tmp_path)
    about = About(family="toy", data=SMALL.describe(""), recipe="small", score=0.5, hours=1.5)
    about = replace(about, score_name="mota")
    shipped = tmp_path / "toy-2.pt"
    save_checkpoint(shipped, Checkpoint(about=about, model={}, weights={}))
    run(tmp_path / "a", quiet=False)
    opening, clips, time, score, *_ = capsys.readouterr().err.splitlines()
    assert opening.startswith("toy small on toy: ")
    assert clips == "clips of 2 frames, of 4 from step 5; validation every 6 steps"
    assert re.match(r"to come: 12 updates in about \S+ h on this machine \(\S+ s at T=2, ", time)
    assert "mota 0.500 on validation, as toy-2.pt has" in score
    untouched = run(tmp_path / "b", quiet=True)
    weights = [load_checkpoint(tmp_path / out / "last.pt").weights for out in "ab"]
    assert untouched.step == 12
    assert all(torch.equal(each, weights[1][name]) for name, each in weights[0].items())
    run(tmp_path / "c", quiet=False, init_from=str(tmp_path / "a"))
    assert "as toy-2.pt has" not in capsys.readouterr().err
    about = replace(about, recipe="another")
    save_checkpoint(shipped, Checkpoint(about=about, model={}, weights={}))
    assert forecast.expected_score("toy", "small", TOY_DATA) == []


@pytest.mark.parametrize("tracker", ["silot", "silot-plus"])
def test_a_whole_recipe_may_expect_what_the_weights_that_ship_have(tracker: str) -> None:
    data = DataConfig(dataset="mnist-12")
    (line,) = forecast.expected_score(tracker, "prior", data)
    assert f"as {tracker}-mnist-12.pt has" in line


def test_a_log_that_is_no_terminal_gets_a_line_a_minute_with_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "a", quiet=False, max_hours=2.0)
    assert "left" not in capsys.readouterr().err
    monkeypatch.setattr(reporting, "HEARTBEAT_SECONDS", 0.0)
    run(tmp_path / "b", quiet=False, max_hours=2.0)
    beats = [each for each in capsys.readouterr().err.splitlines() if each.startswith("left ")]
    assert len(beats) == 12
    assert re.match(r"left 0:00:\d\d  step 1  T=2  \d+ videos/s  fit ", beats[0])
    assert re.match(r"left 0:00:00  step 12  T=4  \d+ videos/s  score \S+  fit ", beats[-1])


def test_a_run_goes_on_with_more_steps_as_if_it_had_had_them(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "parted", max_steps=5)
    run(tmp_path / "parted", resume=True)
    whole = load_checkpoint(tmp_path / "whole" / "last.pt")
    parted = load_checkpoint(tmp_path / "parted" / "last.pt")
    for name, weight in whole.weights.items():
        assert torch.equal(weight, parted.weights[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "best"}, "Toy has no 'best'"),
        ({"only_parameters": ("prior",)}, "no parameter begins with 'prior'"),
        ({"init_from": "none.pt"}, "no such checkpoint"),
    ],
)
def test_a_run_that_cannot_begin_leaves_the_one_it_was_to_replace(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SmotError, match=message):
        run(tmp_path, force=True, **changes)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_processes_that_found_different_states_do_not_train(tmp_path: Path) -> None:
    class Apart(Group):
        """The other process, on a machine of its own, found no run."""

        def gathered(self, value: object) -> list[object]:
            return [value, 0]

    run(tmp_path)
    with pytest.raises(UsageError, match=r"at steps 12, 0: .* must be one folder that all"):
        run(tmp_path, resume=True, group=Apart())


def test_a_batch_that_two_processes_cannot_share_leaves_the_run_to_be_replaced(
    tmp_path: Path,
) -> None:
    run(tmp_path)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(UsageError, match="multiple of the 3 processes"):
        run(tmp_path, force=True, group=Group(size=3))
    assert (tmp_path / "last.pt").read_bytes() == before


def test_resuming_takes_the_runs_own_settings_and_tells_of_changes(tmp_path: Path) -> None:
    out = str(tmp_path / "a")
    run(tmp_path / "a", lr=0.5)
    request = Request(family="toy", out=out, resume=True)
    plan, notices = resolve(request)
    assert (plan.train.lr, plan.n_processes, notices) == (0.5, 1, [])
    plan, notices = resolve(replace(request, assignments=("train.lr=0.25",), steps=30))
    assert (plan.train.lr, plan.train.max_steps) == (0.25, 30)
    assert notices == ["changed on resuming: train.lr 0.5 -> 0.25, train.max_steps 12 -> 30"]
    with pytest.raises(UsageError, match="has dataset 'toy', not 'mnist-6'"):
        resolve(replace(request, dataset="mnist-6"))


@pytest.mark.parametrize(("has_it", "expected"), [(True, "bf16"), (False, "float32")])
def test_auto_takes_bf16_where_the_hardware_has_it_and_stores_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    has_it: bool,
    expected: str,
) -> None:
    monkeypatch.setattr("smot.experiments.runs.has_bf16", lambda device: has_it)
    run(tmp_path, precision="auto", quiet=False)
    stored = stored_plan(load_checkpoint(tmp_path / "last.pt"), "a")
    assert stored.train.precision == expected
    assert json.loads((tmp_path / "config.json").read_text())["train"]["precision"] == expected
    assert (
        "no bf16 in this processor: training in float32" in capsys.readouterr().err
    ) is not has_it


def test_resuming_where_there_is_no_run_is_refused(tmp_path: Path) -> None:
    request = Request(family="toy", out=str(tmp_path / "a"), resume=True)
    with pytest.raises(UsageError, match=r"--resume: there is no run in .*a"):
        resolve(request)


def test_resuming_keeps_the_number_of_processes_and_says_so(tmp_path: Path) -> None:
    class Pair(Group):
        """Two processes, of which the other one says the same."""

        def gathered(self, value: object) -> list[object]:
            return [value, value]

        def average_(self, flat: Tensor) -> None:
            pass

    run(tmp_path, group=Pair(size=2))
    request = Request(family="toy", out=str(tmp_path), resume=True)
    plan, notices = resolve(request)
    assert (plan.n_processes, notices) == (2, ["in 2 processes, as before"])
    plan, notices = resolve(replace(request, processes=1))
    assert (plan.n_processes, notices) == (1, ["changed on resuming: processes 2 -> 1"])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lr=1", "--set takes KEY=VALUE with KEY one of train.KEY, model.KEY"),
        ("train.lr", "not 'train.lr'"),
        ("train.speed=1", "--set train.speed=1: no setting 'speed'; there are seed, batch_size"),
        ("train.lr=-1", r"train\.lr must be above 0"),
        ("model.side=big", "side must be int, not 'big'"),
        ("train.divergence_factor=0.5", r"train\.blowup_factor must be above 1"),
    ],
)
def test_a_setting_that_cannot_be_is_said(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preset_plan("toy", "small", TOY_DATA).with_settings([assignment])


def test_a_run_without_an_end_is_refused(tmp_path: Path) -> None:
    request = Request(family="toy", out=str(tmp_path), dataset="toy", preset="small", steps=0)
    with pytest.raises(UsageError, match="a run needs an end"):
        resolve(request)


def test_starting_from_a_run_takes_its_model(tmp_path: Path) -> None:
    run(tmp_path / "a")
    request = Request(
        family="toy",
        out=str(tmp_path / "b"),
        dataset="toy",
        preset="small",
        init_from=str(tmp_path / "a"),
        assignments=("model.noise=0.5",),
    )
    plan, _ = resolve(request)
    assert plan.model == ToyConfig(noise=0.5)
    assert plan.train.init_from == str(tmp_path / "a" / "best.pt")
    with pytest.raises(UsageError, match="holds a toy model, not silot"):
        resolve(replace(request, family="silot", dataset="mnist-6", preset="fast"))


TINY = SilotConfig(
    n_channels=1,
    n_slots=4,
    n_backbone_filters=8,
    n_features=8,
    what_size=6,
    hidden_size=8,
    prior_own_features=True,
    prior_state_input="posterior",
)


def test_kept_tracks_train_the_prior_and_nothing_else(tmp_path: Path) -> None:
    source = open_source(DataConfig(dataset="shapes-48"), 0)
    config = replace(
        TRAIN, batch_size=2, curriculum=((0, 3),), only_parameters=("prior.",), init_from="a.pt"
    )
    check_stage(config)
    stage = SILOT.stages["prior_objective"]
    model = SILOT.build(TINY, 0)
    state = TrainingState(model, config)
    batches = cached_batches(
        stage, state, source, n_videos=4, group=ALONE, progress=Progress(quiet=True)
    )
    latents = batches(0, 3)
    assert {len(each) for each in latents.values()} == {2}
    assert not any(each.requires_grad for each in latents.values())
    assert all(torch.equal(each, latents[name]) for name, each in batches(0, 3).items())
    objective = stage.objective(model, latents, torch.Generator().manual_seed(0))
    torch.autograd.backward(objective.total)
    trained = {name for name, each in model.named_parameters() if each.grad is not None}
    assert {name.split(".")[0] for name in trained} == {"prior"}


def test_inference_learns_from_what_its_teacher_follows(tmp_path: Path) -> None:
    source = open_source(DataConfig(dataset="shapes-48"), 0)
    path = str(tmp_path / "teacher.pt")
    teacher = SILOT.build(replace(TINY, freeze_attributes=0), 5).eval()
    about = About(family="silot")
    save_checkpoint(
        path, Checkpoint(about=about, model=to_plain(teacher.config), weights=teacher.state_dict())
    )
    parts = ("backbone.", "discovery.", "features.", "propagation.", "renderer.")
    config = replace(
        TRAIN, batch_size=4, curriculum=((0, 3),), only_parameters=parts, init_from=path
    )
    stage = SILOT.stages["sleep_objective"]
    model = SILOT.build(replace(TINY, cell=6), 0)
    state = TrainingState(model, config)
    batches = cached_batches(
        stage, state, source, n_videos=4, group=ALONE, progress=Progress(quiet=True)
    )
    found = batches(0, 3)
    assert isinstance(teacher, Silot)
    frames = torch.from_numpy(source.frames(np.arange(4), 3))
    expected = teacher.find(frames, torch.Generator())
    same = [(each == expected.frames).flatten(1).all(1) for each in found["frames"]]
    order = [int(each.nonzero()[0]) for each in same]
    torch.testing.assert_close(found["box"], expected.box[order])
    # All that is found counts here, so that scenes hold something.
    found["usable"][:] = True
    objective = stage.objective(model, found, torch.Generator().manual_seed(0))
    torch.autograd.backward(objective.total)
    trained = {name for name, each in model.named_parameters() if each.grad is not None}
    learned = {name.split(".")[0] for name in trained}
    assert learned == {"backbone", "discovery", "features", "propagation", "renderer"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_from": "a.pt"}, "say what is trained with train.only_parameters"),
        ({"only_parameters": ("prior.",)}, "needs a trained model: --init-from"),
    ],
)
def test_a_stage_on_a_frozen_model_needs_one(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_stage(replace(TRAIN, objective="prior_objective", **changes))


def slow_latents(module: nn.Module, frames: Tensor, generator: torch.Generator) -> Latents:
    time.sleep(0.3)
    return {"frames": frames}


def late_objective(module: Any, latents: Latents, generator: torch.Generator) -> Objective:
    made: Objective = module.late_objective(latents["frames"], step=0, generator=generator)
    return made


SLOW_STAGE = Stage(latents=slow_latents, objective=late_objective)


def test_the_time_that_latents_take_counts_as_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILY.stages, "late_objective", SLOW_STAGE)
    run(tmp_path / "a")
    stage: dict[str, Any] = {
        "objective": "late_objective",
        "only_parameters": ("late",),
        "init_from": str(tmp_path / "a" / "best.pt"),
    }
    assert run(tmp_path / "b", max_steps=1, **stage).hours * 3600 >= 0.3
    assert run(tmp_path / "c", max_steps=0, max_hours=0.2 / 3600, **stage).step == 0


def test_digits_are_made_from_the_source_that_was_asked_for(tmp_path: Path) -> None:
    source = open_source(DataConfig(dataset="mnist-6", digits="mnist-5k"), 0)
    assert source.videos.description.digit_source == "mnist-5k"
    assert isinstance(DATASETS["mnist-original"], MnistSettings)
    with pytest.raises(DataError):
        open_source(DataConfig(dataset="mnist-6", file=str(tmp_path / "none.h5")), 0)


def test_other_digits_than_hoped_for_are_said_in_one_line_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(folder: Path) -> None:
        raise DataError(f"MNIST is not in {folder}")

    monkeypatch.setattr("smot.generators.digits._downloaded", absent)
    data = DataConfig(dataset="mnist-6", digits="auto", mnist_root=str(tmp_path))
    plan = replace(preset_plan("toy", "small", TOY_DATA), data=data)
    line = f"using the 5,000 embedded digits: MNIST is not in {tmp_path}\n"
    for quiet, leads, said in ((True, True, line), (False, True, line), (False, False, "")):
        _opened(plan, Progress(quiet=quiet, leads=leads))
        assert capsys.readouterr().err == said


def test_tensorboard_gets_numbers_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")

    plan = preset_plan("toy", "small", TOY_DATA)
    carry_out(plan, RunOptions(out=str(tmp_path), quiet=True, tensorboard=True), Group())
    events = module.EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"loss", "fit", "validation/mota"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["video 0", "video 1", "video 2"]


def test_a_reconstruction_is_drawn_below_the_tracks() -> None:
    source = open_source(DataConfig(dataset="shapes-48"), 0)
    module = SILOT.build(TINY, 0).eval()
    drawn = validation_pictures(SILOT, source)(module)
    without = validation_pictures(FAMILY, source)(Toy(ToyConfig(), 0).eval())
    assert drawn["video 0"].shape[0] > without["video 0"].shape[0]
    assert 0 <= float(drawn["video 0"].min()) < float(drawn["video 0"].max()) <= 1


def test_a_model_with_a_bound_is_scored_by_it() -> None:
    class Bounded(Toy):
        def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
            made = super().objective(frames, step=step, generator=generator)
            return replace(made, terms={"bound": torch.tensor(-3.0)})

    score = replace(VALIDATION, score="objective")
    value = ValidationScore(FAMILY, open_source(TOY_DATA, 0), score, Group())
    with torch.no_grad():
        assert value(Bounded(ToyConfig(), 0).eval())["score"] == -3.0
