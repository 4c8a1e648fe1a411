"""Eight organs of abdominal CT at the official CT spacing: trained weights to measure speed and shortcuts with."""
