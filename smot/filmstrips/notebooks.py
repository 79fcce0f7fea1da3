"""What notebooks show of videos and tracks: a strip for each of the first few."""

import base64
import io
from html import escape

import numpy as np

from smot.arrays import UInt8Array
from smot.filmstrips.rows import Row
from smot.filmstrips.strips import strip
from smot.tracks import Tracks

_MOST_VIDEOS = 3
_MOST_FRAMES = 12
_WIDTH = 64  # pixels that frames are enlarged to, or reduced below


def videos_as_html(caption: str, frames: UInt8Array, tracks: Tracks) -> str:
    """A line of text above a picture of the first videos.

    Args:
        caption: the line.
        frames: RGB, [N, T, H, W, 3].
        tracks: boxes to draw, [N, T, K].
    """
    said = f"<code>{escape(caption)}</code>"
    N, T, H, W, _ = frames.shape
    if not N * T:
        return said
    # Every n-th column and row of large frames; an integer scale for small ones.
    step = max(1, -(-max(H, W) // (3 * _WIDTH)))
    shown = slice(0, min(N, _MOST_VIDEOS)), slice(0, _MOST_FRAMES)
    small = frames[shown][:, :, ::step, ::step]
    some = tracks[shown]
    some = Tracks(boxes=some.boxes / step, ids=some.ids, confidence=some.confidence)
    rows = [Row(label=str(n), frames=small[n], tracks=some[n : n + 1]) for n in range(len(small))]
    picture = strip(rows, scale=max(1, _WIDTH // max(small.shape[2:4])))
    content = io.BytesIO()
    picture.save(content, "png")
    source = base64.b64encode(content.getvalue()).decode()
    style = "overflow-x: auto"
    image = f'<img src="data:image/png;base64,{source}" style="max-width: none" alt="Filmstrip">'
    return f'{said}<div style="{style}">{image}</div>'


def tracks_as_html(tracks: Tracks) -> str:
    """The same of tracks alone, on black, as large as the boxes need."""
    B, T, _ = tracks.shape
    W, H = np.ceil(tracks.boxes[..., 2:].max((0, 1, 2), initial=8)).astype(int).clip(8, 4096)
    n_videos, n_frames = min(B, _MOST_VIDEOS), min(T, _MOST_FRAMES)
    black = np.zeros((n_videos, n_frames, H, W, 3), np.uint8)
    return videos_as_html(repr(tracks), black, tracks[:n_videos, :n_frames])
