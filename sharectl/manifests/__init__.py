"""Manifests: YAML documents that say what is wanted."""
