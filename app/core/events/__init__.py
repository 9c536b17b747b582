"""Messages between gateway and workers that may be lost without harm: SQL is re-read anyway."""
