"""Records, contracts and the registry: what names no engine, transport or quantity."""
