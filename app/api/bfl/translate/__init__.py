"""BFL's bodies into GenerationSpec. Decides what a request means; what it costs or whether it may run is decided elsewhere."""
