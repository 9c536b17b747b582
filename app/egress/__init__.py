"""Everything that opens a socket to a host which a customer has named."""
