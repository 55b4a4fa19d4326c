"""The runner contract, the records made of it, and where they are kept."""
