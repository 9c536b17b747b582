"""Training: data, objectives and loops; today it makes flux-nano from nothing (`python -m models.training.nano`)."""
