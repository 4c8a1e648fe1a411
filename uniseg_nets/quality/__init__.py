"""A verdict on every case: what is measured of it, what the training's cases were like, and what to say of it."""
