"""Building native runners: which compiler, for which ABI, against which SDK."""
