"""Input and output: paths and JSON, DICOM series, records beside results, messages."""
