import pytest

from smot.errors import UsageError
from smot.models.silot import SilotConfig
from smot.models.silot import objective as schedules


def test_count_prior_falls_as_in_the_paper() -> None:
    config = SilotConfig()
    odds = [schedules.count_log_odds(config, step) for step in (0, 1000, 2000, 20_000)]
    assert odds[0] == pytest.approx(13.8155, abs=1e-3)
    assert odds[0] - odds[1] == pytest.approx(2.3026, abs=1e-3)
    assert odds[1] - odds[2] == pytest.approx(2.3026, abs=1e-3)
    assert odds[3] == pytest.approx(-4.38, abs=0.01)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_channels", 2),
        ("n_slots", 0),
        ("where_scale", 0.0),
        ("discovery_dropout", 1.5),
        ("track_dropout", -0.1),
        ("background", (0.0, 2.0, 0.0)),
        ("freeze_attributes", -1),
        ("prior_state_input", "both"),
        ("size_prior_std", 0.0),
        ("crop", -4),
    ],
)
def test_an_impossible_setting_is_named(setting: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"{setting} is .*, must be"):
        SilotConfig(**{setting: value})  # type: ignore[arg-type]


def test_weight_of_appearances_grows_to_one_and_is_one_without_warmup() -> None:
    slow = SilotConfig(what_warmup=100)
    weights = [schedules.what_weight(slow, step) for step in (0, 49, 98, 1000)]
    assert weights == pytest.approx([0.02, 0.51, 1.0, 1.0])
    assert schedules.what_weight(SilotConfig(), 0) == 1
