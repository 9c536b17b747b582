"""Samplers: pure functions over tensors; an engine or a loop interleaves their steps."""
