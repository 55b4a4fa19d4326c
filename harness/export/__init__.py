"""Results as tables for other programs: JSON Lines, CSV, Parquet, pandas."""
