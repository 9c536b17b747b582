"""Weights from elsewhere become folders that are served: python -m models.importing. Pickles are read here and nowhere else."""
