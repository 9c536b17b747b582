"""Native PyTorch networks, samplers and checkpoints. Knows nothing of the service that uses them."""
