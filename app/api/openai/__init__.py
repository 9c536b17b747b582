"""OpenAI's Images API: generations and edits, as its SDKs send them, over the same models, queue and money."""
