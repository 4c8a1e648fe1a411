"""Studies on labelled data: cross-validation, and two methods compared case by case."""
