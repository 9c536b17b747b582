"""Autoencoders: pictures to latents and back, one file a family."""
