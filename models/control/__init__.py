"""ControlNets: copies of a denoiser's first half that read a picture and steer it from outside (Zhang et al. 2023, arXiv:2302.05543)."""
