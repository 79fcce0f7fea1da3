"""Taking glimpses of an image and painting sprites into one, with gradients; fast on a CPU."""

from smot.models.sprites.glimpses import glimpse
from smot.models.sprites.painting import Paint, activated, ink_boxes, owners, paint

__all__ = ["Paint", "activated", "glimpse", "ink_boxes", "owners", "paint"]
