"""Eight organs of abdominal CT, as many tasks as the official CT ones: trained weights for what needs several tasks."""
