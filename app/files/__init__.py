"""Pictures that an account uploads once and names in its requests for a while."""
