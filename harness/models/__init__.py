"""Models: manifests, toolchain environments, build stages and artifacts."""
