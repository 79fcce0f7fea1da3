from pathlib import Path

import numpy as np
import pytest

from smot.errors import UsageError
from smot.evaluation.protocols import Job
from smot.evaluation.run import evaluate, run
from smot.evaluation.testsets import SPAN, RenderedVideos, make_plan, more_validation_videos
from smot.evaluation.tuning import candidate_names, tuning_scope
from smot.generators import MnistSettings, load_digits
from smot.generators.synthesis import generate
from smot.trackers import Recipe, build_tracker
from smot.videos import Videos, open_videos
from tests.evaluation.made import SETTINGS, made_videos
from tests.evaluation.made_trackers import Bright, Still


class Watched(RenderedVideos):
    """Notes the groups that are read."""

    def read(self, group: str, start: int, stop: int, *, masks: bool = False) -> Videos:
        self.settings.__dict__.setdefault("read", []).append(group)
        return super().read(group, start, stop, masks=masks)


def test_the_best_setting_on_validation_videos_is_taken() -> None:
    data = made_videos(n_val=30, counts=(1,))
    results = evaluate(Bright(), data, settings=SETTINGS)
    tuning = results.tracker.tuning
    assert (tuning.scope, tuning.split, tuning.n_videos) == ("per-count", "val", 30)
    assert tuning.chosen == {1: "threshold=1"}
    assert tuning.scores[1] == results.tracking[1]["mota"] == 1.0


def test_per_count_judges_by_videos_with_that_many() -> None:
    data = made_videos(n_val=30, counts=(1, 9))
    tuning = evaluate(Bright(), data, settings=SETTINGS, tune="per-count").tracker.tuning
    one_for_all = evaluate(Bright(), data, settings=SETTINGS, tune="global").tracker.tuning
    assert tuning is not None
    assert one_for_all is not None
    assert one_for_all.scores[1] == one_for_all.scores[9]
    assert tuning.scores[1] == 1.0
    assert one_for_all.scores[1] < 1.0


def test_a_count_that_the_split_lacks_gets_validation_videos_of_its_own(tmp_path: Path) -> None:
    data = made_videos(n_val=30, n_test=3, counts=(1, 9))
    made = evaluate(Bright(), data, settings=SETTINGS).tracker.tuning
    assert made is not None
    assert made.n_videos == 30 + SPAN
    # One box around nine objects: what nine objects score, not the mean of all videos.
    assert made.scores[9] < 0.05
    generate(data.settings, None, tmp_path / "a.h5", groups=dict(data.groups))
    with open_videos(tmp_path / "a.h5") as file:
        assert evaluate(Bright(), file, settings=SETTINGS).tracker.tuning == made
    more = more_validation_videos(data, 9)
    assert more is not None
    assert set(more.read("val", 0, SPAN).count.tolist()) == {9}


def test_digits_of_a_count_that_a_file_lacks_are_made_or_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {"val": 20, "test/02": 3, "test/05": 3}
    settings, path = MnistSettings(max_objects=3), tmp_path / "a.h5"
    generate(settings, load_digits("mnist-5k"), path, groups=groups)
    with open_videos(path) as file:
        made = evaluate(Bright(), file, settings=SETTINGS).tracker.tuning
        assert made is not None
        assert made.n_videos == 20 + SPAN
        more = more_validation_videos(file, 5)
        assert more is not None
        assert set(more.read("val", 0, SPAN).count.tolist()) == {5}
        assert more.metadata.digit_fingerprint == file.metadata.digit_fingerprint
        monkeypatch.setattr("smot.generators.digits.EMBEDDED_FINGERPRINT", "0" * 64)
        monkeypatch.setenv("SMOT_MNIST_ROOT", str(tmp_path))
        absent = evaluate(Bright(), file, settings=SETTINGS).tracker.tuning
    assert absent is not None
    assert absent.n_videos == 20
    assert absent.chosen[2] == made.chosen[2]
    assert absent.chosen[5].endswith(" (chosen on other counts)")


def test_tuning_ends_before_the_first_test_video_is_read() -> None:
    plain = made_videos(n_val=10, counts=(1, 2))
    data = Watched(settings=plain.settings, digits=None, groups=plain.groups)
    evaluate(Bright(), data, settings=SETTINGS)
    assert data.settings.__dict__["read"] == ["val", "test/01", "test/02"]


def test_a_setting_made_by_hand_is_kept() -> None:
    data = made_videos(n_val=10, counts=(1,))
    recipe = Recipe(target="conncomp", options={"threshold": "0.25"}, data=data.description)
    outcome = run(
        Job(tracker=recipe, data=data, plan=make_plan(data, None, None), settings=SETTINGS)
    )
    assert outcome.results.tracker.tuning is None
    assert outcome.tracker[1].threshold == 0.25


def test_the_chosen_tracker_is_the_one_that_is_evaluated() -> None:
    data = made_videos(n_val=10, counts=(1,))
    job = Job(tracker=Bright(), data=data, plan=make_plan(data, None, None), settings=SETTINGS)
    assert run(job).tracker[1] == Bright(threshold=1)


@pytest.mark.parametrize(
    ("tracker", "options", "n_val", "said"),
    [
        (Still(), {}, 5, "still has nothing to tune"),
        (Bright(), {"threshold": "3"}, 5, "threshold is set by hand"),
        (Bright(), {}, 0, "no videos in 'val'"),
    ],
)
def test_tuning_that_cannot_be_is_refused_if_asked_for_and_else_left_out(
    tracker: Bright, options: dict[str, str], n_val: int, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        tuning_scope(tracker, options, "global", n_val)
    assert tuning_scope(tracker, options, None, n_val) is None
    assert tuning_scope(tracker, options, "off", n_val) is None


def test_another_word_for_tuning_is_refused() -> None:
    with pytest.raises(UsageError, match="tune must be global, per-count or off"):
        tuning_scope(Bright(), {}, "best", 5)


def test_candidates_are_named_by_what_differs() -> None:
    assert candidate_names([Bright(threshold=2), Bright(threshold=3)]) == [
        "threshold=2",
        "threshold=3",
    ]
    assert candidate_names([object(), object()]) == ["candidate 0", "candidate 1"]
    assert np.unique(candidate_names(Bright().candidates())).size == 3


@pytest.mark.parametrize("threshold", ["0.01", "0.9"])
def test_options_of_a_built_tracker_are_used_and_recorded(threshold: str) -> None:
    data = made_videos(n_val=10, counts=(2,))
    tracker = build_tracker("conncomp", {"threshold": threshold}, data.description)
    as_object = evaluate(tracker, data, settings=SETTINGS)
    recipe = Recipe(target="conncomp", options={"threshold": threshold}, data=data.description)
    as_recipe = evaluate(recipe, data, settings=SETTINGS)
    assert as_object.tracker == as_recipe.tracker
    assert as_object.tracker.options == {"threshold": threshold}
    assert as_object.tracker.tuning is None
    assert as_object.tracking == as_recipe.tracking


def test_a_built_tracker_without_options_is_tuned() -> None:
    data = made_videos(n_val=10, counts=(2,))
    tracker = build_tracker("conncomp", {}, data.description)
    record = evaluate(tracker, data, settings=SETTINGS).tracker
    assert record.tuning is not None
    assert (record.target, record.options) == ("conncomp", {})


def test_a_field_that_differs_from_its_default_is_kept_and_recorded() -> None:
    data = made_videos(n_val=10, counts=(1,))
    record = evaluate(Bright(threshold=40), data, settings=SETTINGS).tracker
    assert (record.tuning, record.options) == (None, {"threshold": "40"})
    with pytest.raises(UsageError, match="threshold is set by hand"):
        evaluate(Bright(threshold=40), data, settings=SETTINGS, tune="global")
