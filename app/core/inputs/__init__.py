"""Pictures that callers send: from text to bytes, looked at before they are decoded, and kept until their task is over.

Only headers are read here. A worker decodes, so a gateway's memory and time stay bounded by the bytes that it was sent.
"""
