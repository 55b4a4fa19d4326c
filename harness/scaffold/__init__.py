"""New workspaces, and the JSON Schemas by which editors check their files."""
