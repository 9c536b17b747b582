"""The small shared core that gateway and workers both import: settings, state, money. No web framework, no torch."""
