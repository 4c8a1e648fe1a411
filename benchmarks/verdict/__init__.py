"""What a verdict on a case is worth: right and wrong pairs of scan and task, and scans spoilt on purpose."""
