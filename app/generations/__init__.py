"""The one use case, in no dialect: submit a generation, look it up, deliver its bytes."""
