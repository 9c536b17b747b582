"""The port through which workers reach state."""
