"""From objects to pixels, and how likely the pixels are."""

import math

import torch
from torch import Tensor, nn

from smot.models.sprites import ink_boxes, owners
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import Mlp
from smot.models.sqair.objects import LOG_2PI, Geometry

# The mean image fades in where an object covers the canvas: sigmoid(20 * cover - 10).
COVER_BIAS, COVER_SCALE = -10.0, 20.0
# Scales of painted patches count as this at least.
SMALLEST_SCALE = 1e-4


class Decoder(nn.Module):
    """Paints objects, adds them up, and puts the mean image under them.

    Args:
        config: sizes, scale of the patches, deviation of the pixels.
        geometry: where patches are painted.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4.1 (linear patches; the mean image shows only where something
    was painted).
    """

    def __init__(
        self, config: SqairConfig, geometry: Geometry, generator: torch.Generator
    ) -> None:
        super().__init__()
        C, G = config.channels, config.glimpse_size
        self.patch_shape, self.geometry = (C, G, G), geometry
        sizes = (config.n_what, config.n_hidden, config.n_hidden, C * G * G)
        self.mlp = Mlp(sizes, generator)
        self.output_scale = nn.Parameter(torch.tensor(config.output_scale))
        shape = (C, *config.frame_size)
        self.mean_image = nn.Parameter(torch.full(shape, config.mean_image))
        self.output_std = config.output_std

    def patches(self, what: Tensor) -> Tensor:
        """Appearances as patches, [M, A] to [M, C, G, G]."""
        painted: Tensor = self.mlp(what) * self.output_scale
        return painted.view(-1, *self.patch_shape)

    def forward(self, what: Tensor, where: Tensor, present: Tensor) -> Tensor:
        """Frames expected of the objects in them; only objects that are there are painted.

        Args:
            what: appearances, [N, n, A].
            where: places, [N, n, 4].
            present: [N, n], 1 or 0.

        Returns:
            [n, C, H, W].
        """
        n = present.shape[1]
        slot, canvas = torch.nonzero(present > 0.5, as_tuple=True)
        chosen = slot * n + canvas
        canvases, covers = paint(
            self.patches(what.flatten(0, 1).index_select(0, chosen)),
            self.geometry.sprite_boxes(where.flatten(0, 1).index_select(0, chosen)),
            canvas,
            n_canvases=n,
            frame_size=self.geometry.frame_size,
        )
        shown = (COVER_SCALE * covers + COVER_BIAS).sigmoid()
        return torch.addcmul(canvases, shown[:, None], self.mean_image)

    def log_likelihood(self, pixels: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """Log density of pixels, summed over pixels and channels.

        Args:
            pixels: frames, [n, C, H, W].
            expected: from `forward`, [n * K, C, H, W], particles of a frame side by side.

        Returns:
            The log densities, and the squared errors that they come from, [n * K] each.
        """
        n = len(pixels)
        errors = (expected.view(n, -1, *pixels.shape[1:]) - pixels[:, None]).flatten(2)
        squares = errors.square().sum(-1).flatten()
        log_scale = LOG_2PI + 2 * math.log(self.output_std)
        return -0.5 * (squares / self.output_std**2 + errors.shape[-1] * log_scale), squares

    def ink_boxes(self, what: Tensor, where: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """The extent of what is bright in the patches of objects.

        Slots that are not needed rest where nothing is and paint black, which costs the objective
        next to nothing. So a patch in which nothing is bright is no object.

        Args:
            what: appearances, [..., A].
            where: places, [..., 4].
            threshold: least brightness that counts as ink, in (0, 1).

        Returns:
            x0, y0, x1, y1, [..., 4], pixels; and whether anything is bright, bool, [...].

        Source: ours; the original reports patches. SILOT's tight boxes here are found alike.
        """
        patches = self.patches(what.flatten(0, -2)).clamp(0, 1)
        opaque = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
        sprites = self.geometry.sprite_boxes(where.flatten(0, -2))
        black = patches.new_zeros(patches.shape[1])
        size, centre = ink_boxes(sprites, opaque, black, threshold).flip(-1).split(2, dim=-1)
        boxes = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
        seen = patches.flatten(1).amax(1) >= threshold
        return boxes.view(*where.shape), seen.view(*where.shape[:-1])

    def owners(self, what: Tensor, where: Tensor, counts: Tensor, threshold: float) -> Tensor:
        """Which object each pixel belongs to, by ink alone: patches add up, none is nearer.

        Args:
            what: appearances, [n, N, A].
            where: places, [n, N, 4].
            counts: which objects count, bool, [n, N].
            threshold: least brightness that counts as ink, in (0, 1).

        Returns:
            1 + the object, 0 for none, [n, H, W].
        """

        def alone(places: Tensor) -> Tensor:
            chosen, placed = (
                each.take_along_dim(places[..., None], 1).flatten(0, 1) for each in (what, where)
            )
            canvas = torch.arange(len(chosen), device=chosen.device)
            boxes, size = self.geometry.sprite_boxes(placed), self.geometry.frame_size
            patches = self.patches(chosen).clamp(0, 1)
            ink, _ = paint(patches, boxes, canvas, n_canvases=len(chosen), frame_size=size)
            pictures: Tensor = ink.unflatten(0, places.shape)
            return pictures

        return owners(alone, counts.float(), threshold)


def paint(
    patches: Tensor,
    boxes: Tensor,
    canvas: Tensor,
    *,
    n_canvases: int,
    frame_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Sum patches onto empty canvases; what overlaps adds up and nothing is clipped.

    Every pixel shows the point of the patch that lies there, bilinearly, with zeros outside. For
    boxes along the axes this factors into one matrix for rows and one for columns.

    Args:
        patches: [M, C, G, G].
        boxes: centre and size y, x, h, w, [M, 4], pixels.
        canvas: which canvas each patch belongs to, [M], int64.
        n_canvases: n.
        frame_size: H, W, pixels.

    Returns:
        Canvases, [n, C, H, W], and covers, the same sum with patches of ones, [n, H, W].

    Source: docs/models/sqair.md 3.1 (the inverse transformer, corners aligned) and 7.2.
    """
    (H, W), G = frame_size, patches.shape[-1]
    y, x, h, w = boxes.unbind(-1)
    rows = _sampling_matrix(y, h, H, G)
    columns = _sampling_matrix(x, w, W, G)
    pictures = rows[:, None] @ patches @ columns[:, None].transpose(-1, -2)
    outlines = rows.sum(-1)[:, :, None] * columns.sum(-1)[:, None, :]
    canvases = patches.new_zeros(n_canvases, *pictures.shape[1:])
    covers = patches.new_zeros(n_canvases, H, W)
    return canvases.index_add(0, canvas, pictures), covers.index_add(0, canvas, outlines)


def _sampling_matrix(centre: Tensor, size: Tensor, n_pixels: int, n_texels: int) -> Tensor:
    """Share of every texel in every pixel of one axis, relu(1 - distance), [M, n_pixels, G]."""
    # The bound keeps the gradient of what lies below it.
    least = SMALLEST_SCALE * (n_pixels - 1) * n_texels / (n_texels - 1)
    size = size + (size.detach().clamp(min=least) - size.detach())
    pixels = torch.arange(n_pixels, device=centre.device) + 0.5
    place = (pixels - centre[:, None]) * (n_texels / size)[:, None] + (n_texels - 1) / 2
    texels = torch.arange(n_texels, device=centre.device)
    return (1 - (place[..., None] - texels).abs()).relu()
