"""Taking glimpses of an image and painting sprites into one, with gradients; fast on a CPU."""

from smot.models.sprites.glimpses import glimpse
from smot.models.sprites.painting import Paint, activated, paint

__all__ = ["Paint", "activated", "glimpse", "paint"]
