"""Fine-tuning on real scans: from scratch, from multi-task weights, frozen encoder, prompt alone."""
