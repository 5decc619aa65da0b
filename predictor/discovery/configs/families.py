"""Means and standard deviations in use, of pixels from 0 to 1."""

Triple = tuple[float, float, float]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's pictures; torchvision's."""

HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Shifts the pixels to -1 to 1; called Inception's."""

CLIP: tuple[Triple, Triple] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
"""Of CLIP's pictures."""

CAFFE_MEAN: Triple = (103.939, 116.779, 123.68)
"""Of ImageNet's pixels from 0 to 255, blue first."""

SCALE = 1 / 255
"""Brings pixels to 0 to 1."""
