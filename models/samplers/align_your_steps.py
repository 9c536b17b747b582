"""Align Your Steps: noise levels that were optimised for a network and ten steps (Sabour, Fidler & Kreis 2024, arXiv:2404.14507; the
numbers are those of the authors' page, research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html)."""

from models.samplers.grids import Stretched

SD = Stretched((14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029))
"""For Stable Diffusion 1.5."""
SDXL = Stretched((14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029))
"""For SDXL."""
