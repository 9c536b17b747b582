"""Black Forest Labs' API, as its clients speak it."""
