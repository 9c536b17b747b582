"""Text encoders: prompts to the features that a denoiser reads, one file a family."""
