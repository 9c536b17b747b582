"""HTTP dialects: they translate and render, and decide nothing."""
