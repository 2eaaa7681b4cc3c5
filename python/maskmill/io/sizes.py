"""Where `image_size` was; see maskmill.dataset.sizes."""

from maskmill.dataset.sizes import image_size, image_size_of

__all__ = ["image_size", "image_size_of"]
