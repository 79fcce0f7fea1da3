"""Damaged and hostile files of every kind that the package reads: what becomes of them.

python tests/campaigns/fuzz.py [--kind hdf5] [--seed 0] [--n 500] [--seconds 600] [--keep FOLDER]

Half of the files are a good file with bytes changed, cut or moved; the other half are written
anew with a part of wrong type, size or name. Each is read in a forked child with a limit on time
and memory. File i of a kind follows from (seed, kind, i) alone. The outcomes:

    refused    a `SmotError` of one line
    faithful   read, and what was read is what the file says
    changed    read, and what was read is something else
    traceback  any other exception, or a message of several lines
    hang       nothing for as many seconds as `--patience` says
    crash      the process died

Prints a Markdown table, and one line for each file that was neither refused nor faithful.
"""

import argparse
import contextlib
import copy
import csv
import json
import math
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import torch
from PIL import Image

from smot.errors import SmotError
from smot.evaluation.report.compare import comparison_table, line_up
from smot.evaluation.report.tables import to_csv
from smot.evaluation.results import dumped, read_results
from smot.filmstrips import save_gif, save_video
from smot.interchange.coco_vid import write_coco_vid
from smot.interchange.columns import write_npz
from smot.interchange.exporting import export
from smot.interchange.footage import describe, open_footage
from smot.interchange.motchallenge import read_motchallenge, text_of
from smot.interchange.scoring import ScoreSettings, pair_up_sources, results_of, score_pairs
from smot.interchange.sources import open_source
from smot.models.checkpoints import About, Checkpoint, load_model, save_checkpoint
from smot.models.sqair import SqairConfig, build
from smot.tracks import Tracks
from smot.videos import open_videos
from smot.videos.reading import group_statistics
from smot.videos.verification import verify

GOOD = ("refused", "faithful")
OUTCOMES = (*GOOD, "changed", "traceback", "hang", "crash")
MEMORY = 6 << 30  # bytes of address space for a child, beyond what it starts with

Random = np.random.Generator


class Kind(ABC):
    """A kind of file: good ones, broken ones, and its reader.

    Args:
        folder: for files.
    """

    suffix: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good = self.make()

    @abstractmethod
    def make(self) -> bytes:
        """A good file."""

    @abstractmethod
    def break_part(self, random: Random, path: Path) -> None:
        """Write a file with a part that cannot be, or is unusual."""

    @abstractmethod
    def read(self, path: Path) -> bool:
        """Read a file as the package does; whether that gave what the file says."""

    def write(self, random: Random, path: Path) -> None:
        """Write a broken file."""
        if random.random() < 0.5:
            path.write_bytes(break_bytes(random, self.good))
        else:
            self.break_part(random, path)


def break_bytes(random: Random, content: bytes) -> bytes:
    """Content with some bytes changed, cut, moved or added."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        place = int(random.integers(len(data) + 1))
        length = int(random.choice([1, 2, 4, 8, 64, 1024]))
        match random.integers(8):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = random.bytes(length)
            case 3:
                data[place : place + length] = bytes(len(data[place : place + length]))
            case 4:
                data[place : place + length] = b"\xff" * len(data[place : place + length])
            case 5:
                other = int(random.integers(len(data) + 1))
                data[place : place + length] = data[other : other + length]
            case _:
                if place < len(data):
                    data[place] ^= 1 << int(random.integers(8))
        if not data:
            break
    return bytes(data)


def odd_value(random: Random) -> Any:
    """A value that nobody expects, as JSON and Python have it."""
    values: list[Any] = [None, True, -1, 0, 1, 2**31, 2**63, 2**70, 10**400, -0.0, 0.1, 1e308]
    values += [
        1e999,
        -math.inf,
        math.nan,
        "",
        "x",
        "-1",
        "1e999",
        "NaN",
        "\ud800",
        "\x00",
        "../..",
    ]
    values += ["a,b", "é" * 300, "9" * 400, [], [[]], [None], [1, 2, 3], [999, 999, 999]]
    values += [list(range(1000)), {}, {"": {}}, {"a": [{}]}]
    return values[int(random.integers(len(values)))]


def break_tree(random: Random, tree: Any) -> Any:
    """A JSON-like value with one to three parts replaced, removed, doubled or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(int(random.integers(1, 4))):
        places = list(_places(tree))
        if not places:
            return odd_value(random)
        parent, key = places[int(random.integers(len(places)))]
        match random.integers(5):
            case 0 if isinstance(parent, dict):
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[f"{key}x"] = parent.pop(key)
            case 2 if isinstance(parent, list):
                parent.append(parent[key])
            case 3 if isinstance(parent[key], int | float):
                parent[key] = -parent[key]
            case _:
                parent[key] = odd_value(random)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


class Hdf5(Kind):
    """Files of videos: `smot inspect` and `smot verify`."""

    suffix = ".h5"

    def make(self) -> bytes:
        """A few shapes."""
        path = self.folder / "good.h5"
        sizes = "--n-train 3 --n-val 2 --n-test 2 --counts 1-2 --max-shapes 2 --frame-size 24"
        command = [sys.executable, "-m", "smot", "generate", "shapes", "--quiet", "--out"]
        subprocess.run([*command, str(path), *sizes.split(), "--n-frames", "3"], check=True)
        self.said = self._said(path)
        return path.read_bytes()

    def _said(self, path: Path) -> tuple[object, ...]:
        with open_videos(path) as file:
            found = tuple(group_statistics(file, group) for group in file.groups)
            verify(file, lambda _: None)
            # No hash covers these two, so they are what the file says.
            metadata = replace(file.metadata, name="", versions={})
            return metadata, file.description, found

    def read(self, path: Path) -> bool:
        """All else is checked by a hash, so what can be read must be what was written."""
        return self._said(path) == self.said

    def break_part(self, random: Random, path: Path) -> None:
        """Change an attribute, an array or the tree."""
        path.write_bytes(self.good)
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            name = str(random.choice(names))
            attributes = list(file.attrs)
            attribute = str(random.choice(attributes))
            match random.integers(9):
                case 0:
                    del file.attrs[attribute]
                case 1 | 2 | 3:
                    self._break_attribute(random, file, attribute)
                case 4:
                    del file[name]
                case 5:
                    file.move(name, f"{name}x")
                case 6:
                    del file[name]
                    file[name] = self._odd_array(random)
                case 7:
                    file[f"{name}_too"] = h5py.ExternalLink("/etc/hostname", "/")
                case _:
                    del file[name]
                    file[name] = h5py.SoftLink("/" if random.random() < 0.5 else "/nowhere")

    def _break_attribute(self, random: Random, file: h5py.File, name: str) -> None:
        old = file.attrs[name]
        text = old.decode() if isinstance(old, bytes) else str(old)
        try:
            tree = break_tree(random, json.loads(text))
            new: Any = json.dumps(tree)
        except (ValueError, TypeError):
            new = odd_value(random)
        kinds: list[Any] = [
            new if isinstance(new, str) else json.dumps(new),
            np.bytes_(b"\xff\xfe" + text.encode()),
            text + " ",
            np.zeros((2, 3)),
            h5py.Empty("f"),
            np.float64(math.nan),
            np.array([text.encode()] * 3),
        ]
        value = kinds[int(random.integers(len(kinds)))]
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").replace(b"\x00", b"")
        file.attrs[name] = value

    def _odd_array(self, random: Random) -> Any:
        arrays: list[Any] = [np.zeros(0), np.zeros((2, 2), np.uint8), np.float32(1)]
        arrays += [np.full((2, 3, 24, 24, 3), 7), np.full((2,), np.nan), np.array([b"text"])]
        arrays += [np.ones((2, 3, 2, 4), np.complex64)]
        return arrays[int(random.integers(len(arrays)))]


class Checkpoints(Kind):
    """Checkpoints, read to run a model."""

    suffix = ".pt"

    def make(self) -> bytes:
        """A small SQAIR, its matrices in 8 bits."""
        from smot.files import to_plain
        from smot.models import compact

        compact.LARGE = 1
        config = SqairConfig(n_slots=1, n_hidden=4, n_what=2, glimpse_size=3, frame_size=(8, 8))
        path = self.folder / "good.pt"
        weights = build(config, 0).state_dict()
        about = About(family="sqair", step=5, score=0.5, score_name="mota")
        checkpoint = Checkpoint(about=about, model=to_plain(config), weights=weights)
        save_checkpoint(path, checkpoint, compact=True)
        return path.read_bytes()

    def read(self, path: Path) -> bool:
        """The weights are those that PyTorch itself reads."""
        module, about = load_model(path)
        stored = torch.load(path, weights_only=True)
        if vars(about) != {**vars(About(family="")), **stored["about"]}:
            return False
        for name, part in module.state_dict().items():
            found = stored["weights"][name] * stored.get("scales", {}).get(name, 1)
            if found.is_complex() or not torch.equal(part, found.to(part.dtype)):
                return False
        return True

    def break_part(self, random: Random, path: Path) -> None:
        """Change a setting, a name, or a weight's kind."""
        good = self.folder / "good.pt"
        content = torch.load(good, weights_only=True)
        part = ["weights", "scales"][int(random.integers(2))]
        weights = content.pop(part)
        names = list(weights)
        name = names[int(random.integers(len(names)))]
        if random.random() < 0.5:
            content = break_tree(random, content)
        else:
            weights = self._broken_weights(random, weights, name)
        if isinstance(content, dict):
            content[part] = weights
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(content, path)

    def _broken_weights(self, random: Random, weights: Any, name: str) -> Any:
        old = weights[name]
        key = [name, "new", 7, None, (1, 2), f"{name}."][int(random.integers(6))]
        makers: list[Any] = [
            lambda: old.double(),
            lambda: old.half(),
            lambda: old.to(torch.complex64),
            lambda: old.to(torch.int8),
            lambda: old > 0,
            lambda: torch.full_like(old.float(), math.nan),
            lambda: torch.zeros(3, 0, 2),
            lambda: torch.zeros(1).expand(10**9),
            lambda: torch.ones(2, 2).to_sparse(),
            lambda: torch.empty(3, device="meta"),
            lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
            lambda: {"inner": old},
            lambda: [old],
            lambda: odd_value(random),
            lambda: old.T if old.dim() == 2 else old[..., None],
            lambda: -old,
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights[key] = makers[int(random.integers(len(makers)))]()
        return weights


class ResultFiles(Kind):
    """results.json, as `smot compare` reads it."""

    suffix = ".json"

    def make(self) -> bytes:
        """What a run of ConnComp wrote."""
        videos = self.folder / "videos.h5"
        sizes = "--n-train 2 --n-val 3 --n-test 3 --counts 1-2 --max-shapes 2 --frame-size 24"
        command = [sys.executable, "-m", "smot", "generate", "shapes", "--quiet", "--out"]
        subprocess.run([*command, str(videos), *sizes.split()], check=True)
        out = self.folder / "run"
        command = [sys.executable, "-m", "smot", "baseline", "conncomp", "--data", str(videos)]
        command += ["--out", str(out), "--workers", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.whole = read_results(out / "results.json")
        return (out / "results.json").read_bytes()

    def read(self, path: Path) -> bool:
        """Numbers and names are those of the text."""
        found = read_results(path)
        comparison_table(line_up({path: found, self.folder / "good.json": self.whole}))
        to_csv(found)
        said, given = (
            json.loads(each, parse_int=whole) for each in (dumped(found), path.read_bytes())
        )
        return bool(said == given)

    def break_part(self, random: Random, path: Path) -> None:
        """Change parts of the tree."""
        sys.set_int_max_str_digits(0)
        text = json.dumps(break_tree(random, json.loads(self.good)))
        sys.set_int_max_str_digits(4300)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))


def whole(digits: str) -> float:
    """An integer of JSON, whose readers may have beyond 2^53 as the nearest float."""
    return int(digits) if abs(int(digits)) < 2**53 else float(digits)


# Left, top, width, height become corners.
CORNERS = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]], float)


def mot_boxes(path: Path) -> Any:
    """The boxes of MOTChallenge text, read another way, [N, 4]; None if a line is no box."""
    content, expected = path.read_bytes(), []
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = content.decode("utf-16" if wide else "utf-8-sig", "replace")
    for line in text.splitlines():
        numbers = re.split(r"[,;\s]+", line.strip().rstrip(", \t"))
        if re.match(r"[+-]?[.\d]", numbers[0]):
            try:
                expected.append([float(each) for each in numbers[2:6]])
            except ValueError:
                return None
    return np.array(expected).reshape(-1, 4) @ CORNERS - 1


def same_boxes(ours: Any, theirs: Any) -> bool:
    """Whether boxes, [N, 4], are the same in some order."""
    if theirs is None or len(ours) != len(theirs):
        return False
    ours, theirs = (each[np.lexsort(each.T)].astype(np.float64) for each in (ours, theirs))
    return bool(np.allclose(ours, theirs, rtol=1e-5, atol=1e-3))


class MotText(Kind):
    """MOTChallenge text."""

    suffix = ".txt"

    def make(self) -> bytes:
        """Three objects in five frames."""
        lines = [
            f"{t},{k},{10.5 * k:g},{20 + t},{5 + k},{6.25:g},{0.5 + 0.1 * k:g},-1,-1,-1\n"
            for t in range(1, 6)
            for k in range(1, 4)
        ]
        return "".join(lines).encode()

    def read(self, path: Path) -> bool:
        """The boxes are the numbers of the text, line by line."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what had to be assumed is said as a warning
            tracks = read_motchallenge(path)
        return same_boxes(tracks.boxes[tracks.present], mot_boxes(path))

    def break_part(self, random: Random, path: Path) -> None:
        """Odd numbers, separators, encodings, line ends."""
        lines = [line.split(",") for line in self.good.decode().splitlines()]
        for _ in range(int(random.integers(1, 4))):
            line = lines[int(random.integers(len(lines)))]
            column = int(random.integers(len(line)))
            odd = ["", "x", "nan", "inf", "-1", "0", "1.5", "1e9", "1e400", "2e9", "1543358529500"]
            odd += ["0x10", "1_000", "-0", "９", "1 2", '"3"', "9" * 400, "1,5"]
            line[column] = odd[int(random.integers(len(odd)))]
            if random.random() < 0.2:
                del line[max(column, 1) :]
        separator = str(random.choice([",", ", ", " ", "\t", ";", ",,"]))
        end = str(random.choice(["\n", "\r\n", "\r", ",\n", "\n\n"]))
        text = end.join(separator.join(line) for line in lines) + end
        head = str(random.choice(["", "", "# frame,id\n", "frame,id,left,top,w,h\n", "\ufeff"]))
        encoding = str(random.choice(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1", "cp1252"]))
        path.write_bytes((head + text).encode(encoding, "replace"))


class Scored(MotText):
    """A file of true tracks, as `smot score` and `smot export` read it."""

    def boxes(self, path: Path) -> Any:
        """The boxes that another reader finds in the file: corners, [N, 4]."""
        raise NotImplementedError

    def read(self, path: Path) -> bool:
        """The truth is scored against itself, and exported; its boxes are those of the file."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = open_source(path, is_truth=True)
            pairs, _ = pair_up_sources(source, source)
            settings = ScoreSettings(classes="together", groups="sequence")
            began, names = time.perf_counter(), ("mine", "videos")
            scored = score_pairs(pairs, settings)
            found = results_of(scored, settings, names=names, origin=path, began=began)
            to_csv(found)
            dumped(found)
            out = self.folder / "exported"
            shutil.rmtree(out, ignore_errors=True)
            export(source, out, "mot")
            if {each.name for each in self.folder.parent.iterdir()} - self.beside:
                return False  # written where it was not asked to
            ours = np.concatenate([load().box for load in source.videos.values()])
        return same_boxes(ours, self.boxes(path))

    def make(self) -> bytes:
        """What is beside the folder now is what may be there later."""
        self.beside = {each.name for each in self.folder.parent.iterdir()}
        return super().make()


class ScoredText(Scored):
    """MOTChallenge text as truth, with classes, visibility and boxes that do not count."""

    suffix = ".txt"

    def make(self) -> bytes:
        """Three objects in five frames."""
        rows = (line.split(",")[:6] for line in super().make().decode().splitlines())
        ends = ("1,1,0.5", "0,7,1", "1,2,0")
        return "".join(f"{','.join(row)},{ends[int(row[1]) - 1]}\n" for row in rows).encode()

    def boxes(self, path: Path) -> Any:
        """Line by line."""
        return mot_boxes(path)


class Csv(Scored):
    """Tables with named columns."""

    suffix = ".csv"

    def make(self) -> bytes:
        """Three objects in five frames."""
        head = "frame,id,left,top,width,height,confidence,class,visible,video\n"
        text = super().make().decode()
        return (head + text.replace(",-1,-1,-1\n", ",1,0.5,street\n")).encode()

    def boxes(self, path: Path) -> Any:
        """As `csv.DictReader` has them."""
        said = [each for each in text_of(path).splitlines() if each[:1] not in ("", "#")]
        heads, *lines = said or [""]
        rows = csv.DictReader(lines, [head.strip().lower() for head in next(csv.reader([heads]))])
        names = ("left", "top", "width", "height")
        sides = []
        for row in rows:
            if "left" not in row and "x2" in row:
                row["left"] = float(row["x2"]) - float(row["width"])
            sides.append([float(row[name]) for name in names])
        return np.array(sides).reshape(-1, 4) @ CORNERS

    def break_part(self, random: Random, path: Path) -> None:
        """As text, or other names of columns."""
        super().break_part(random, path)
        if random.random() < 0.5:
            heads, _, rows = self.good.decode().partition("\n")
            names = heads.split(",")
            for _ in range(int(random.integers(1, 3))):
                odd = ["", "é", "height", "id", "x2", "iscrowd", " Frame", "\ud800"]
                names[int(random.integers(len(names)))] = str(random.choice(odd))
            path.write_bytes(f"{','.join(names)}\n{rows}".encode("utf-8", "surrogatepass"))


class Parquet(Scored):
    """The same tables in Parquet, which needs pyarrow."""

    suffix = ".parquet"

    def make(self) -> bytes:
        """Three objects in five frames."""
        super().make()
        numbers = np.arange(15)
        self.columns: dict[str, Any] = {
            "frame": numbers // 3,
            "id": numbers % 3,
            "left": 10.5 * (numbers % 3),
            "top": 20.0 + numbers // 3,
            "width": 5 + numbers % 3,
            "height": np.full(15, 6.25, np.float32),
            "confidence": np.full(15, 0.75),
            "class": np.ones(15, np.int16),
            "video": np.full(15, "street"),
        }
        path = self.folder / "good.parquet"
        pandas.DataFrame(self.columns).to_parquet(path)
        return path.read_bytes()

    def boxes(self, path: Path) -> Any:
        """As pyarrow has them, value by value."""
        from pyarrow.parquet import ParquetFile

        rows = ParquetFile(path).read().to_pylist()
        rows = [{str(key).strip().lower(): each[key] for key in each} for each in rows]
        names = ("left", "top", "width", "height")
        sides = [[float(row[name]) for name in names] for row in rows]
        return np.array(sides).reshape(-1, 4) @ CORNERS

    def break_part(self, random: Random, path: Path) -> None:
        """Other types, values and names of columns; other codecs and sizes of groups."""
        columns = {key: list(column) for key, column in self.columns.items()}
        for _ in range(int(random.integers(1, 4))):
            name = str(random.choice(list(columns)))
            old = self.columns.get(name, np.arange(15))
            makers: list[Any] = [
                lambda: [odd_value(random)] * 15,
                lambda: [*columns[name][:-1], odd_value(random)],  # noqa: B023
                lambda: [*columns[name][:-1], None],  # noqa: B023
                lambda: pandas.array([True, None, False] * 5, "boolean"),
                lambda: pandas.Categorical(old),  # noqa: B023
                lambda: pandas.to_datetime(np.arange(15), unit="D"),
                lambda: pandas.to_timedelta(np.arange(15), unit="s"),
                lambda: [Decimal(n) / 4 for n in range(15)],
                lambda: [b"7", b"\xff\xfe", b""] * 5,
                lambda: [1j * n for n in range(15)],
                lambda: old.astype(str(random.choice(["f2", "u8", "i1", "U9", "?"]))),  # noqa: B023
            ]
            with contextlib.suppress(ValueError, TypeError):
                columns[name] = makers[int(random.integers(len(makers)))]()
            if random.random() < 0.3:
                odd = ["", "é", "height", "x2", "iscrowd", " Frame", "track_id", "video/0", "LEFT"]
                columns[str(random.choice(odd))] = columns.pop(name)
        if random.random() < 0.1:
            columns = {key: column[:0] for key, column in columns.items()}
        codec: Any = str(random.choice(["snappy", "gzip", "zstd", "none"]))
        size = int(random.choice([1, 4, 1000]))
        path.write_bytes(self.good)
        with warnings.catch_warnings(), contextlib.suppress(Exception):  # what cannot be written
            warnings.simplefilter("ignore")
            frame = pandas.DataFrame(columns)
            if random.random() < 0.2:
                frame = frame.set_index(list(columns)[int(random.integers(len(columns)))])
            frame.to_parquet(path, compression=codec, row_group_size=size)


class Npz(Scored):
    """Arrays of tracks, as `smot eval --save-tracks` writes them."""

    suffix = ".npz"

    def make(self) -> bytes:
        """Two groups."""
        super().make()
        random, path = np.random.default_rng(0), self.folder / "good.npz"
        corner = random.uniform(0, 20, (2, 3, 4, 2))
        boxes = np.concatenate([corner, corner + random.uniform(1, 9, corner.shape)], -1)
        ids = np.broadcast_to(np.array([0, 1, 2, -1]), (2, 3, 4))
        tracks = Tracks(boxes=boxes, ids=ids, confidence=(ids >= 0) * 0.75)
        write_npz(path, {"test/01": tracks, "test/02": tracks})
        return path.read_bytes()

    def boxes(self, path: Path) -> Any:
        """Those with an identity."""
        with np.load(path) as stored:
            groups = {name.rpartition("/")[0] for name in stored.files}
            held = [[stored[f"{one}/{name}"] for name in ("boxes", "ids")] for one in groups]
        return np.concatenate([boxes[ids >= 0].reshape(-1, 4) for boxes, ids in held])

    def break_part(self, random: Random, path: Path) -> None:
        """Change, rename, remove or add an array."""
        with np.load(self.folder / "good.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        name = str(random.choice(list(arrays)))
        old = arrays[name]
        makers: list[Any] = [
            lambda: old.astype(str(random.choice(["f2", "i8", "u8", "c8", "?", "U9", "S3"]))),
            lambda: old[0],
            lambda: old[..., :0],
            lambda: np.full_like(old, random.choice([-2, 0, 7])),
            lambda: old * 1e308,
            lambda: np.full(old.shape, random.choice([np.nan, np.inf, -1, 1e300, 2.0**70])),
            lambda: np.zeros((10**9, 0, 0)),
            lambda: np.array([None, {}], object),
            lambda: np.float64(1e999),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays[name] = makers[int(random.integers(len(makers)))]()
        other = ["frame", "x/n_videos", "../../x/boxes", "", "\ud800", "é/ids", "n_frames"]
        match random.integers(4):
            case 0:
                arrays[str(random.choice(other))] = arrays.pop(name)
            case 1:
                del arrays[name]
        with contextlib.suppress(UnicodeEncodeError):
            np.savez(path, **arrays)


class Coco(Scored):
    """COCO-VID JSON."""

    suffix = ".json"

    def make(self) -> bytes:
        """Two videos of three frames."""
        super().make()
        boxes = np.tile([2.5, 3.0, 9.0, 8.25], (2, 3, 2, 1)) + np.arange(2)[:, None] * 5
        ids = np.broadcast_to(np.arange(2), (2, 3, 2))
        tracks = Tracks(boxes=boxes, ids=ids, confidence=np.ones(ids.shape))
        path = self.folder / "good.json"
        write_coco_vid(path, tracks, frame_size=(48, 48), visibility=np.ones(ids.shape))
        return path.read_bytes()

    def boxes(self, path: Path) -> Any:
        """Of the annotations."""
        content = json.loads(path.read_bytes())
        boxes = [each["bbox"] for each in content["annotations"]]
        return np.array(boxes, float).reshape(-1, 4) @ CORNERS

    def break_part(self, random: Random, path: Path) -> None:
        """Change parts of the tree."""
        ResultFiles.break_part(self, random, path)  # type: ignore[arg-type]


class Footage(Kind):
    """Films and arrays, as `smot track` reads them; codecs have no checksums to be held to."""

    def make(self) -> bytes:
        """Eight frames of noise."""
        path = self.folder / f"good{self.suffix}"
        shape = (8, 24, 32, 3)
        frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        if self.suffix in (".gif", ".mp4"):
            save = save_gif if self.suffix == ".gif" else save_video
            save(path, [Image.fromarray(frame) for frame in frames])
        elif self.suffix == ".npy":
            np.save(path, frames)
        else:
            np.savez(path, frames=frames)
        return path.read_bytes()

    def read(self, path: Path) -> bool:
        """Every frame is read, and is RGB of the first one's size."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in open_footage(path):
                size = describe(each).frame_size
                if {frame.shape for frame in each.frames()} != {(*size, 3)}:
                    return False
        return True

    def break_part(self, random: Random, path: Path) -> None:
        """Change bytes of the head, where sizes and types are."""
        path.write_bytes(break_bytes(random, self.good[:200]) + self.good[200:])


FOOTAGE = {
    f"track-{suffix}": type(f"Footage{suffix}", (Footage,), {"suffix": f".{suffix}"})
    for suffix in ("npy", "npz", "gif", "mp4")
}

KINDS: dict[str, type[Kind]] = {
    "hdf5": Hdf5,
    "checkpoints": Checkpoints,
    "results": ResultFiles,
    "mot": MotText,
    "score-text": ScoredText,
    "score-csv": Csv,
    "score-parquet": Parquet,
    "score-npz": Npz,
    "score-coco": Coco,
    **FOOTAGE,
}


def outcome(kind: Kind, path: Path) -> tuple[str, str]:
    """What reading a file gives, and a line about it."""
    try:
        faithful = kind.read(path)
    except SmotError as error:
        said = str(error)
        return ("refused" if said.strip() and "\n" not in said else "traceback"), said
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [each for each in frames if "/smot/" in each.filename] or list(frames)
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        return "traceback", f"{type(error).__name__} at {where}: {error}"
    return ("faithful" if faithful else "changed"), ""


def child(kind: Kind, indices: range, seed: int, pipe: int) -> None:
    """Make and read files one after another, and report each on a pipe."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for i in indices:
        path = file_of(kind, i)
        kind.write(np.random.default_rng([seed, i]), path)
        os.write(pipe, f"{json.dumps([i, 'start', ''])}\n".encode())
        name, said = outcome(kind, path)
        line = json.dumps([i, name, said[:300].partition("\n")[0]])
        os.write(pipe, f"{line}\n".encode())


def file_of(kind: Kind, i: int) -> Path:
    """Where file i is."""
    return kind.folder / f"{i:06d}{kind.suffix}"


def outcomes(kind: Kind, n: int, seed: int, patience: float) -> Iterator[tuple[int, str, str]]:
    """The outcomes of n files in turn; a child that hangs or dies is replaced."""
    first = 0
    while first < n:
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reader)
            try:  # never back into the parent's code, which removes the folder
                child(kind, range(first, n), seed, writer)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        os.close(writer)
        ready: list[Any] = []
        try:
            with os.fdopen(reader, "rb", buffering=0) as pipe:
                rest = b""
                while True:
                    ready, _, _ = select.select([pipe], [], [], patience)
                    content = pipe.read(65536) if ready else None
                    *lines, rest = (rest + (content or b"")).split(b"\n")
                    for line in lines:
                        i, name, said = json.loads(line)
                        if name != "start":
                            first = i + 1
                            yield i, name, said
                    if not content:
                        break
        finally:  # also when enough files were read
            os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
        if first < n:
            died = f"status {status}" if ready else ""
            yield first, "crash" if died else "hang", died or f"more than {patience:g} s"
            first += 1


def run(name: str, arguments: argparse.Namespace) -> Counter[str]:
    """Put the files of one kind through their reader."""
    counts: Counter[str] = Counter()
    end = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "files")  # what is written beside it was not asked for
        folder.mkdir()
        kind = KINDS[name](folder)
        found, said = outcome(kind, _written(kind))
        assert found == "faithful", f"the good file: {found} {said}"
        for i, found, said in outcomes(kind, arguments.n, arguments.seed, arguments.patience):
            counts[found] += 1
            if found not in GOOD:
                print(f"{name} {i}: {found}: {said}", flush=True)
                if arguments.keep and file_of(kind, i).exists():
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file_of(kind, i), arguments.keep / f"{name}-{i}{kind.suffix}")
            file_of(kind, i).unlink(missing_ok=True)
            if time.monotonic() > end:
                break
    return counts


def _written(kind: Kind) -> Path:
    path = kind.folder / f"whole{kind.suffix}"
    path.write_bytes(kind.good)
    return path


def main() -> None:
    """Print the table; exit 1 if a file was neither refused nor read faithfully."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=KINDS, action="append", help="[all]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=500, help="files of each kind [500]")
    parser.add_argument("--seconds", type=float, default=600.0, help="at most, per kind [600]")
    parser.add_argument("--patience", type=float, default=15.0, help="before a hang [15 s]")
    parser.add_argument("--keep", type=Path, help="folder for files that came out badly")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = {name: run(name, arguments) for name in arguments.kind or KINDS}
    print(f"\n| kind | files | {' | '.join(OUTCOMES)} |")
    print("|---" * (len(OUTCOMES) + 2) + "|")
    for name, counts in table.items():
        cells = " | ".join(f"{counts[each]:,}" for each in OUTCOMES)
        print(f"| {name} | {counts.total():,} | {cells} |")
    sys.exit(any(counts[each] for counts in table.values() for each in OUTCOMES[2:]))


if __name__ == "__main__":
    main()
