import errno
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from smot.errors import DataError, UsageError
from smot.files import to_plain
from smot.models import compact
from smot.models.checkpoints import (
    About,
    Checkpoint,
    export_weights,
    load_checkpoint,
    load_model,
    process_device,
    save_checkpoint,
)
from smot.models.family import FAMILIES
from smot.models.silot import SilotConfig, build
from smot.tracks import DataDescription
from tests.training.toy import FAMILY, Toy, ToyConfig

DATA = DataDescription(
    dataset="mnist",
    frame_size=(48, 48),
    n_frames=8,
    max_objects=6,
    palette=((255, 255, 255),),
    digit_source="mnist",
)


@pytest.fixture(autouse=True)
def toy_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "toy", "tests.training.toy:FAMILY")


@pytest.fixture
def checkpoint() -> Checkpoint:
    toy = Toy(ToyConfig(side=5), 0)
    return Checkpoint(
        about=About(family="toy", step=7, hours=0.5, score=0.75, score_name="mota", data=DATA),
        model=to_plain(toy.config),
        weights=toy.state_dict(),
        averages={"picture": torch.full_like(toy.picture, 0.25)},
        training={"optimiser": {"state": {0: {"step": torch.ones(())}}}, "plain": [1, 2.0, "x"]},
    )


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    found = load_checkpoint(tmp_path / "a.pt")
    assert found.about == checkpoint.about
    assert found.model == checkpoint.model
    assert found.training["plain"] == [1, 2.0, "x"]
    assert all(torch.equal(found.weights[name], each) for name, each in checkpoint.weights.items())


def test_numpy_scalars_are_stored_as_pythons_own(tmp_path: Path, checkpoint: Checkpoint) -> None:
    about = replace(checkpoint.about, score=np.float64(0.5), step=np.int64(3))  # type: ignore[arg-type]
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, about=about))
    assert type(load_checkpoint(tmp_path / "a.pt").about.score) is float


def test_what_is_neither_tensor_nor_plain_is_refused_when_saving(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    with pytest.raises(TypeError, match="not PosixPath"):
        save_checkpoint(tmp_path / "a.pt", replace(checkpoint, training={"folder": Path()}))
    assert list(tmp_path.iterdir()) == []


def test_the_model_runs_with_its_averages_in_evaluation_mode(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    model, about = load_model(tmp_path / "a.pt")
    assert not model.training
    assert isinstance(model, Toy)
    assert torch.equal(model.picture, torch.full_like(model.picture, 0.25))
    assert torch.equal(model.late.weight, checkpoint.weights["late.weight"])
    assert about.data == DATA


def test_a_runs_folder_stands_for_its_best_state(tmp_path: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(DataError, match=r"best\.pt: no such checkpoint"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "best.pt", checkpoint)
    save_checkpoint(tmp_path / "last.pt", replace(checkpoint, about=About(family="toy", step=9)))
    assert load_checkpoint(tmp_path).about == checkpoint.about
    assert load_model(str(tmp_path))[1] == checkpoint.about
    assert export_weights([tmp_path], tmp_path / "slim.pt") == checkpoint.about


def test_a_device_that_is_not_there_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device must be cpu, cuda or cuda:N, not 'gpu9'"):
        load_model(tmp_path / "none.pt", "gpu9")


def test_an_export_is_small_and_gives_the_same_model_to_half_a_step(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "LARGE", 25)
    bulky = replace(checkpoint, training={"optimiser": torch.zeros(10_000)})
    save_checkpoint(tmp_path / "a.pt", bulky)
    assert export_weights([tmp_path / "a.pt"], tmp_path / "slim.pt").step == 7
    assert (tmp_path / "slim.pt").stat().st_size < (tmp_path / "a.pt").stat().st_size / 5
    full, _ = load_model(tmp_path / "a.pt")
    slim, _ = load_model(tmp_path / "slim.pt")
    assert isinstance(full, Toy)
    assert isinstance(slim, Toy)
    assert slim.late.weight.dtype == torch.float32
    off = (slim.late.weight - full.late.weight).abs()
    assert off.max() > 0
    assert (off <= full.late.weight.abs().amax(1, keepdim=True) / 127 * 0.5001).all()
    torch.testing.assert_close(slim.late.bias, full.late.bias, rtol=1e-3, atol=1e-6)
    assert not torch.equal(slim.late.bias, full.late.bias)
    export_weights([tmp_path / "slim.pt"], tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == (tmp_path / "slim.pt").read_bytes()


def test_small_matrices_keep_16_bits_and_what_these_cannot_hold_32(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    large = {**checkpoint.best_weights, "late.bias": torch.full((5,), 1e6)}
    save_checkpoint(
        tmp_path / "a.pt", replace(checkpoint, weights=large, averages={}), compact=True
    )
    weights = load_checkpoint(tmp_path / "a.pt").weights
    assert weights["late.weight"].dtype == torch.float16
    assert weights["late.bias"].dtype == torch.float32


def test_a_row_of_zeros_is_exported_as_it_is(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "LARGE", 1)
    zeros = {name: torch.zeros_like(weight) for name, weight in checkpoint.weights.items()}
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, weights=zeros, averages={}))
    export_weights([tmp_path / "a.pt"], tmp_path / "slim.pt")
    module, _ = load_model(tmp_path / "slim.pt")
    assert not any(weight.any() for weight in module.state_dict().values())


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({}, "'picture': a matrix in 8 bits and a scale for each row go together"),
        ({"late.weight": torch.ones(2, 1)}, "'late.weight': a matrix in 8 bits and a scale"),
        ({"late.weight": torch.ones(5)}, "'late.weight': a matrix in 8 bits and a scale"),
        ({"late.bias": torch.ones(5)}, "a matrix in 8 bits and a scale"),
        ({"new": torch.ones(1)}, "a matrix in 8 bits and a scale"),
        ({"late.weight": torch.ones(5, 1) * torch.inf}, "'late.weight' is not finite"),
        ({"late.weight": torch.ones(5, 1, dtype=torch.int64)}, "in memory, not int64"),
        ({"late.weight": torch.ones(5, 1, dtype=torch.float64)}, "in memory, not float64"),
        ({"late.weight": 0.5}, "'late.weight' is not a tensor"),
        ([1.0], "its scales are not a table"),
    ],
)
def test_scales_that_do_not_fit_are_refused(
    tmp_path: Path,
    checkpoint: Checkpoint,
    scales: Any,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compact, "LARGE", 1)
    path = tmp_path / "a.pt"
    save_checkpoint(path, replace(checkpoint, averages={}), compact=True)
    content = torch.load(path, weights_only=True)
    assert content["weights"]["late.weight"].dtype == torch.int8
    if scales:
        rest = {name: each for name, each in content["scales"].items() if name != "late.weight"}
        scales = {**rest, **scales} if isinstance(scales, dict) else scales
    content["scales"] = scales
    torch.save(content, path)
    with pytest.raises(DataError, match=message):
        load_model(path)


def test_an_export_of_several_is_the_mean_of_their_weights_and_has_no_score(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    a, b = tmp_path / "a.pt", tmp_path / "b.pt"
    save_checkpoint(a, checkpoint)
    doubled = {name: 2 * weight for name, weight in checkpoint.best_weights.items()}
    save_checkpoint(b, replace(checkpoint, weights=doubled, averages={}))
    about = export_weights([a, b, b], tmp_path / "mean.pt", compact=False)
    assert about == replace(checkpoint.about, score=None, score_name="")
    mean = load_checkpoint(tmp_path / "mean.pt")
    for name, weight in checkpoint.best_weights.items():
        torch.testing.assert_close(mean.weights[name], weight * 5 / 3)
    other = {**checkpoint.weights, "late.bias": torch.zeros(6)}
    save_checkpoint(b, replace(checkpoint, weights=other, averages={}))
    with pytest.raises(DataError, match=r"b\.pt: weight 'late\.bias' must be \[5\], not \[6\]"):
        export_weights([a, b], tmp_path / "mean.pt")
    endless = {**checkpoint.weights, "late.bias": torch.full((5,), torch.inf)}
    save_checkpoint(b, replace(checkpoint, weights=endless, averages={}))
    with pytest.raises(DataError, match=r"b\.pt: weight 'late\.bias' is not finite"):
        export_weights([a, b], tmp_path / "mean.pt", compact=False)
    other_family = replace(checkpoint, about=About(family="silot"))
    save_checkpoint(b, other_family)
    with pytest.raises(DataError, match=r"b\.pt: silot, where .*a\.pt is toy"):
        export_weights([a, b], tmp_path / "mean.pt")
    with pytest.raises(UsageError, match="no weights to export"):
        export_weights([], tmp_path / "mean.pt")


@pytest.mark.parametrize(("share", "alike"), [(0.0, False), (0.7, False), (0.97, True)])
def test_a_mean_is_made_of_weights_that_began_alike(
    tmp_path: Path, checkpoint: Checkpoint, share: float, alike: bool
) -> None:
    a, b = tmp_path / "a.pt", tmp_path / "b.pt"
    weights = {name: torch.zeros_like(each) for name, each in checkpoint.best_weights.items()}
    weights["picture"].view(-1)[0] = 1.0
    others = {name: each.clone() for name, each in weights.items()}
    others["picture"].view(-1)[:2] = torch.tensor([share, (1 - share**2) ** 0.5])
    save_checkpoint(a, replace(checkpoint, weights=weights, averages={}))
    save_checkpoint(b, replace(checkpoint, weights=others, averages={}))
    if alike:
        export_weights([a, b], tmp_path / "mean.pt")
        return
    with pytest.raises(UsageError, match=r"b\.pt did not go on from the same weights as .*a\.pt"):
        export_weights([a, b], tmp_path / "mean.pt")


def test_a_small_file_does_not_unfold_to_large_weights(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, replace(checkpoint, averages={}))
    content = torch.load(path, weights_only=True)
    steps, scale = torch.ones(64, 64, dtype=torch.int8), torch.ones(64, 1)
    content["weights"] = {str(place): steps for place in range(9)}
    content["scales"] = {str(place): scale for place in range(9)}
    torch.save(content, path)
    with pytest.raises(DataError, match="weights in 8 bits share memory"):
        load_checkpoint(path)


def test_what_torch_says_of_odd_tensors_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warning_load(*_: object, **__: object) -> object:
        warnings.warn("beta state", UserWarning, stacklevel=1)
        return {}

    with zipfile.ZipFile(tmp_path / "a.pt", "w"):
        pass
    monkeypatch.setattr(torch, "load", warning_load)
    warnings.simplefilter("error")  # for this test: pytest puts filters back
    with pytest.raises(DataError, match="not a checkpoint of this"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_weight_beyond_float32_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    huge = {**checkpoint.weights, "late.bias": torch.full((5,), 1e300, dtype=torch.float64)}
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, weights=huge, averages={}))
    with pytest.raises(DataError, match=r"'late\.bias' is not finite"):
        load_model(tmp_path / "a.pt")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_one_line(
    tmp_path: Path, checkpoint: Checkpoint, share: float
) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, checkpoint)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"a\.pt: truncated, or not a checkpoint") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_damage_inside_the_file_is_one_line(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, checkpoint)
    content = bytearray(path.read_bytes())
    place = content.index(b"data.pkl") + 80
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pt"):
        load_checkpoint(path)


@dataclass(frozen=True)
class Hostile:
    """Whoever unpickles it makes a call."""

    function: Callable[..., object]
    arguments: tuple[object, ...]

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


@pytest.mark.parametrize(
    "call",
    [
        Hostile(os.mkdir, ("hostile-was-here",)),
        Hostile(os.system, ("touch hostile-was-here",)),
        Hostile(eval, ("open('hostile-was-here', 'w')",)),
        Hostile(exec, ("open('hostile-was-here', 'w')",)),
        Hostile(dict, ([("picture", 1)],)),
        Hostile(getattr, ("text", "upper")),
        Hostile(__import__, ("os",)),
    ],
    ids=lambda call: call.function.__name__,
)
@pytest.mark.parametrize("place", ["weights", "about", "model", "training"])
def test_a_hostile_file_runs_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: Checkpoint,
    call: Hostile,
    place: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint("a.pt", checkpoint)
    content = torch.load("a.pt", weights_only=True)
    torch.save({**content, place: {**content[place], "picture": call}}, "a.pt")
    with pytest.raises(DataError, match="more than tensors and plain values; not loaded"):
        load_checkpoint("a.pt")
    Path("b.pt").write_bytes(pickle.dumps(call))
    with pytest.raises(DataError, match="not a checkpoint"):
        load_checkpoint("b.pt")
    assert not Path("hostile-was-here").exists()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with pytest.raises(DataError, match="no such checkpoint"):
        load_checkpoint(path)
    for foreign in ({"weights": torch.zeros(2)}, [1, 2], torch.zeros(2)):
        torch.save(foreign, path)
        with pytest.raises(DataError, match="not a checkpoint of this package"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "format version 99, not 1"),
        ({"weights": [1]}, "its weights are not a table"),
        ({"weights": {"picture": 3}}, "weight 'picture' is not a tensor"),
        ({"about": {"family": "toy", "colour": "red"}}, "no setting 'colour'"),
        ({"about": {}}, "description"),
    ],
)
def test_inconsistent_content_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, changes: dict[str, object], message: str
) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save({**content, **changes}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=message):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"picture": torch.zeros(2)}, r"'picture' must be \[3, 5, 5\], not \[2\]"),
        ({"extra": torch.zeros(2)}, "has an unknown weight 'extra'"),
        ({"late.bias": torch.full((5,), torch.nan)}, r"'late\.bias' is not finite"),
        ({"late.bias": None}, r"has no weight 'late\.bias'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, checkpoint: Checkpoint, weights: dict[str, Tensor | None], message: str
) -> None:
    mixed = {**checkpoint.weights, **weights}
    kept = {name: value for name, value in mixed.items() if value is not None}
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, weights=kept, averages={}))
    with pytest.raises(DataError, match=message):
        load_model(tmp_path / "a.pt")


def test_settings_under_older_names_keep_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint
) -> None:
    family = replace(FAMILY, renamed={"size": "side"})
    monkeypatch.setattr("tests.training.toy.FAMILY", family)
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, model={"size": 5}))
    model, _ = load_model(tmp_path / "a.pt")
    assert model.config == ToyConfig(side=5)


def hostile_weights() -> dict[str, Tensor]:
    """Tensors that a file can hold and no model has, by what the message calls them."""
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    return {
        "sparse_coo": torch.eye(3).to_sparse(),
        "sparse_csr": torch.eye(3).to_sparse_csr(),
        "meta": torch.zeros(5, device="meta"),
        "nested": nested,
        "quint8": torch.quantize_per_tensor(torch.zeros(5), 0.1, 0, torch.quint8),
        "complex64": torch.zeros(5, dtype=torch.complex64),
        "float8_e5m2": torch.zeros(5).to(torch.float8_e5m2),
        "one number repeated": torch.zeros(1).expand(10**9),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "sparse_coo",
        "sparse_csr",
        "meta",
        "nested",
        "quint8",
        "complex64",
        "float8_e5m2",
        "one number repeated",
    ],
)
@pytest.mark.filterwarnings("ignore")  # of torch, when such tensors are made and read
def test_weights_of_another_kind_are_refused(
    tmp_path: Path, checkpoint: Checkpoint, kind: str
) -> None:
    weights = {**checkpoint.weights, "late.bias": hostile_weights()[kind]}
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, averages={}))
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save({**content, "weights": weights}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: ") as caught:
        load_model(tmp_path / "a.pt")
    message = str(caught.value)
    assert "\n" not in message
    # Some kinds are refused by torch itself.
    assert (
        f"'late.bias' must be a dense tensor of real numbers in memory, not {kind}" in message
        or ("not loaded" in message or "cannot be read" in message)
    )


@pytest.mark.parametrize("key", [3, None, ("late", "bias"), 2.5, b"late.bias"])
def test_weights_under_no_name_are_refused(
    tmp_path: Path, checkpoint: Checkpoint, key: object
) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save(
        {**content, "weights": {**checkpoint.weights, key: torch.zeros(1)}}, tmp_path / "a.pt"
    )
    with pytest.raises(DataError, match=r"a\.pt: "):
        load_model(tmp_path / "a.pt")


@pytest.mark.parametrize("part", ["about", "model"])
@pytest.mark.parametrize("key", [3, None, ("a", "b"), "nonsense"])
def test_settings_under_no_name_are_refused(
    tmp_path: Path, checkpoint: Checkpoint, part: str, key: object
) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save({**content, part: {**content[part], key: 1}}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: "):
        load_model(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("hidden_size", "must be"),
        ("n_features", "no model can be made of its model settings"),
        ("n_slots", "n_slots is 1000000000, must be at most 10,000"),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_before_they_are_allocated(
    tmp_path: Path, setting: str, message: str
) -> None:
    about = About(family="silot")
    small = to_plain(SilotConfig())
    weights = build(SilotConfig(), 0).state_dict()
    stored = Checkpoint(about=about, model={**small, setting: 10**9}, weights=weights)
    save_checkpoint(tmp_path / "a.pt", stored)
    with pytest.raises(DataError, match=message):
        load_model(tmp_path / "a.pt")


@pytest.mark.parametrize("seed", [2**63, 2**70, -1])
def test_a_seed_that_torch_cannot_take_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, seed: int
) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save({**content, "about": {**content["about"], "seed": seed}}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: description: .*seed"):
        load_model(tmp_path / "a.pt")


def test_compressed_parts_are_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as plain,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(DataError, match=r"b\.pt: has compressed parts"):
        load_checkpoint(tmp_path / "b.pt")


@pytest.mark.parametrize("place", [34, 38], ids=["disk", "every attribute"])
def test_a_part_that_torch_would_leave_unread_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, place: int
) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, checkpoint)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + place] = 0xFF  # APPNOTE 4.3.12
    path.write_bytes(content)
    with pytest.raises(DataError, match="does not fit its checksum or directory"):
        load_checkpoint(path)


def test_a_part_that_is_called_a_folder_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """torch does not read it, and takes whatever lies in memory, without a word."""
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as sound,
        zipfile.ZipFile(tmp_path / "b.pt", "w") as changed,
    ):
        for entry in sound.infolist():
            content = sound.read(entry)
            if "/data/" in entry.filename:
                entry.external_attr |= 0x10  # MS-DOS's attribute of a folder
            changed.writestr(entry, content)
    load_checkpoint(tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"b\.pt: damaged, a part does not fit"):
        load_checkpoint(tmp_path / "b.pt")


def test_an_unknown_family_or_setting_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    stranger = replace(checkpoint, about=replace(checkpoint.about, family="stranger"))
    save_checkpoint(tmp_path / "a.pt", stranger)
    with pytest.raises(DataError, match="no family of models 'stranger'"):
        load_model(tmp_path / "a.pt")
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, model={"depth": 3}))
    with pytest.raises(DataError, match="model settings: no setting 'depth'"):
        load_model(tmp_path / "a.pt")


def test_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, checkpoint)

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(bytes(content)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, replace(checkpoint, about=About(family="toy", step=8)))
    monkeypatch.undo()
    assert load_checkpoint(path).about.step == 7
    assert [each.name for each in tmp_path.iterdir()] == ["a.pt"]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """A machine with two GPUs; the devices that were chosen there."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize("name", ["", "gpu9", "cuda:", "cuda:x", "cuda:-1", "cpu:1", "meta", "0"])
def test_what_names_no_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"device must be cpu, cuda or cuda:N, not '{name}'"):
        process_device(name)


def test_without_a_gpu_there_is_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert process_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(UsageError, match=f"device '{name}': no GPU that PyTorch can use"):
            process_device(name)


def test_each_process_of_a_run_has_its_gpu(
    two_gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process_device("cuda") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert process_device("cuda") == torch.device("cuda:1")
    assert process_device("cuda:0") == torch.device("cuda:0")
    assert [device.index for device in two_gpus] == [0, 1, 0]
    with pytest.raises(UsageError, match="device 'cuda:2': there are 2 GPUs"):
        process_device("cuda:2")
