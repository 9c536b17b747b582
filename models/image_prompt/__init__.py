"""IP-Adapter: pictures in the place of words, beside a UNet's text (Ye et al. 2023, arXiv:2308.06721)."""
