"""Pictures as conditions: image encoders and edges, one idea a file."""
