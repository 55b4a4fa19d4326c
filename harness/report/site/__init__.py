"""The history site: pages over many runs, and a report of each."""
