"""The engine: rows in, images out, one denoise step at a time. It sees models only and can be driven from a script."""
