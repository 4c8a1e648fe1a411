"""Files of every kind: paths and JSON, DICOM series, what is recorded beside a result, messages."""
