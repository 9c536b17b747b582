"""Object stores: where results live as bytes."""
