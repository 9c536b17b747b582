"""Denoising transformers for flow matching, one file a family."""
