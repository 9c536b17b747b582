"""Tables between the names in files and ours, one family a file."""
