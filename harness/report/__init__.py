"""One self-contained HTML file from stored records."""
