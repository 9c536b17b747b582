"""What an account may still do: active tasks, free images, and the spending of a key, decided in the submit's transaction."""
