"""The UNet of Stable Diffusion 1.5 and SDXL: one network, one set of blocks."""
