"""What a refusal looks like in each dialect. One file a dialect, each with `render`; app.api.errors chooses by the route."""
