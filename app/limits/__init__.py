"""How fast a caller may send requests, and what every answer says about that. In memory; nothing here is money."""
