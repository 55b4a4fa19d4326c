"""Pure functions over records: no input or output."""
