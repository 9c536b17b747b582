"""Replicate's predictions, as its SDKs send them, over the same models, queue and money."""
