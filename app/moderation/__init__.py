"""Whether a request may be drawn: a policy of words, or a service of the operator's that classifies."""
