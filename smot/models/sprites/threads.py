"""Divide the images of a batch among torch's threads; the kernels release the interpreter lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch


def over_images(kernel: Callable[..., None], n_images: int, *arguments: Any) -> None:
    """Run ``kernel(*arguments, start, stop)`` for all images, in as many parts as torch threads.

    Args:
        kernel: compiled with ``nogil``; writes only what belongs to images start..stop - 1.
        n_images: how many there are.
        arguments: passed on to every part.
    """
    n_parts = min(torch.get_num_threads(), n_images)
    if n_parts <= 1:
        kernel(*arguments, 0, n_images)
        return
    edges = [n_images * part // n_parts for part in range(n_parts + 1)]
    pool = _pool(n_parts)
    parts = [pool.submit(kernel, *arguments, start, stop) for start, stop in pairwise(edges)]
    for part in parts:
        part.result()


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="sprites")
