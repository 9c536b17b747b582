"""Request and response bodies exactly as BFL's clients send and read them, and Darkroom's own fields beside theirs.

Lenient where BFL is: unknown fields are ignored and every optional field may be null. Limits and defaults that depend on the
model are the catalogue's: the translator checks them, and app.api.bfl.describe shows them. Here are only the types.
"""
