"""The gateway: authentication, metering, the queue and the API dialects. Never imports torch, workers or models."""
