"""Workers: processes that claim generations, run them through the engine and settle them. They see app.core and models."""
